package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is the unit of times in /proc: USER_HZ, which is 100 wherever Go
// runs.
const ticksPerSecond = 100

// cpu gives the seconds of processor time that a process has used.
func cpu(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	return parseCPU(text)
}

// parseCPU reads /proc/PID/stat (proc(5)).
func parseCPU(stat []byte) (float64, error) {
	// The command's name, in brackets, may have any character.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const user, system = 11, 12 // counted from the field after the name
	if len(fields) <= system {
		return 0, fmt.Errorf("read CPU times: unexpected format: %q", stat)
	}
	ticks := 0
	for _, field := range []string{fields[user], fields[system]} {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("read CPU times: %w", err)
		}
		ticks += n
	}
	return float64(ticks) / ticksPerSecond, nil
}

// memory gives the MiB that a process has in memory now, and the most that it has
// had.
func memory(pid int) (now, peak float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for key, value := range map[string]*float64{"VmRSS:": &now, "VmHWM:": &peak} {
		if *value, err = parseMemory(string(text), key); err != nil {
			return 0, 0, err
		}
	}
	return now, peak, nil
}

// parseMemory reads a size of /proc/PID/status, in MiB.
func parseMemory(status, key string) (float64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, key); ok {
			kB, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return float64(kB) / 1024, err
		}
	}
	return 0, fmt.Errorf("read memory: no %s in %q", key, status)
}
