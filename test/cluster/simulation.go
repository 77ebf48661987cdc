package cluster

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/jobnetes/jobnetes/test/machine"
)

// simulation is what simulated nodes need beside a control plane.
type simulation struct {
	program         string // path of kwok
	scheduler, kwok *machine.Process
}

// Simulate adds simulated nodes to the cluster, for 1,000 pods each, and the
// scheduler: see SimulatedLabel for how pods get there. stages, if it is not
// empty, is YAML that says how pods go on, in kwok's words (Stage of
// kwok.x-k8s.io/v1alpha1); else they run, and those of Jobs succeed, at once.
func (p *Private) Simulate(t testing.TB, nodes int, stages string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
	defer cancel()
	program, err := install(ctx, kwok)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.path("kwok.yaml"), []byte(kwokConfig+"---\n"+stages), 0o600); err != nil {
		t.Fatal(err)
	}
	p.plane.simulation, err = p.plane.simulate(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := addSimulated(ctx, p.Client, nodes); err != nil {
		t.Fatal(err)
	}
}

// simulate starts the scheduler and kwok.
func (p *plane) simulate(program string) (*simulation, error) {
	scheduler, err := p.run("kube-scheduler", schedulerOptions(p.kubeconfig())...)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, kwokOptions(p.path("kwok.yaml"), p.kubeconfig())...)
	cmd.Dir = p.dir
	// Its configuration is not to be mixed with the user's own.
	cmd.Env = append(os.Environ(), "HOME="+p.dir, "KWOK_WORKDIR="+p.dir)
	process, err := machine.Start(cmd, p.path("kwok.log"))
	if err != nil {
		scheduler.Kill()
		return nil, err
	}
	return &simulation{program: program, scheduler: scheduler, kwok: process}, nil
}

// RestartControllers kills the controllers, the scheduler and kwok, and starts them
// again. Left alone they do nothing for up to a minute after several outages of the
// API server, since their watches wait longer after each.
func (p *Private) RestartControllers() error {
	p.plane.controllers.Kill()
	if err := p.plane.startControllers(); err != nil {
		return err
	}
	s := p.plane.simulation
	if s == nil {
		return nil
	}
	s.scheduler.Kill()
	s.kwok.Kill()
	var err error
	p.plane.simulation, err = p.plane.simulate(s.program)
	return err
}

// schedulerOptions are the arguments of a cluster's only scheduler.
func schedulerOptions(kubeconfig string) []string {
	return []string{
		"--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port", "0", "--kube-api-qps", "500", "--kube-api-burst", "1000",
	}
}

// kwokOptions are the arguments of kwok.
func kwokOptions(config, kubeconfig string) []string {
	return []string{
		"--config", config, "--kubeconfig", kubeconfig, "--cidr", "10.87.0.0/16",
		"--manage-nodes-with-annotation-selector", simulatedAnnotation, "--node-lease-duration-seconds", "40",
	}
}
