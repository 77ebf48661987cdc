package webadmin

import (
	"fmt"
	"time"
)

// timeView is a moment as pages show it; the zero one is "not yet".
type timeView struct {
	ISO  string // RFC 3339, for <time datetime>
	Text string // UTC
}

// newTimeView takes a time.Time or a *time.Time, which may be nil.
func newTimeView(v any) (timeView, error) {
	var t time.Time
	switch v := v.(type) {
	case time.Time:
		t = v
	case *time.Time:
		if v == nil {
			return timeView{}, nil
		}
		t = *v
	default:
		return timeView{}, fmt.Errorf("%T is no time", v)
	}
	t = t.UTC()
	return timeView{ISO: t.Format(time.RFC3339Nano), Text: t.Format(time.DateTime)}, nil
}

// formatDuration is short and human: 420 ms, 1.2 s, 3 m 04 s, 2 h 05 m, 1 d 03 h.
func formatDuration(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms" // the clocks of two computers
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d m %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %02d m", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d d %02d h", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// elapsed is how long something took, or has taken until now. It is empty if
// it has not begun.
func elapsed(started, ended *time.Time, now time.Time) string {
	switch {
	case started == nil:
		return ""
	case ended != nil:
		return formatDuration(ended.Sub(*started))
	default:
		return formatDuration(now.Sub(*started))
	}
}

func formatSize(bytes int) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
}
