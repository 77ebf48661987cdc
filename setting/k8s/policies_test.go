package k8s_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
)

// Jobs reach the world, but not where clouds hand out the rights of nodes.
func TestJobsReachNoMetadata(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		address string
		want    bool
	}{
		"somewhere":             {"192.0.2.1", true},
		"somewhere in IPv6":     {"2001:db8::1", true},
		"AWS, Google and Azure": {"169.254.169.254", false},
		"AWS for pods":          {"169.254.170.23", false},
		"AWS in IPv6":           {"fd00:ec2::254", false},
		"Alibaba":               {"100.100.100.200", false},
		"link-local in IPv6":    {"fe80::a9fe:a9fe", false},
	}
	var blocks []*networkingv1.IPBlock
	for _, p := range ofType[*networkingv1.NetworkPolicy](render(t, ".")) {
		if p.Namespace != jobs {
			continue
		}
		for _, rule := range p.Spec.Egress {
			for _, peer := range rule.To {
				if peer.IPBlock != nil {
					blocks = append(blocks, peer.IPBlock)
				}
			}
		}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := false
			for _, b := range blocks {
				got = got || lets(b, netip.MustParseAddr(tc.address))
			}
			if got != tc.want {
				t.Errorf("a Job reaches %s: %t, want %t", tc.address, got, tc.want)
			}
		})
	}
}

// lets says whether the block lets the address pass.
func lets(b *networkingv1.IPBlock, a netip.Addr) bool {
	pass := netip.MustParsePrefix(b.CIDR).Contains(a)
	for _, except := range b.Except {
		pass = pass && !netip.MustParsePrefix(except).Contains(a)
	}
	return pass
}

// Who wakes the managers is let out to the port that they listen on, and let in.
func TestManagersAreReached(t *testing.T) {
	t.Parallel()
	all := render(t, ".")
	out := one[*networkingv1.NetworkPolicy](t, all, "wake-managers").Spec
	in := one[*networkingv1.NetworkPolicy](t, all, "to-manager").Spec
	if got, want := out.Egress[0].Ports[0].Port.IntValue(), settings(t, all).Manager.MetricsPort; got != want {
		t.Errorf("they are let out to port %d, want manager.metrics-port, %d", got, want)
	}
	if diff := cmp.Diff(out.PodSelector, *in.Ingress[0].From[0].PodSelector); diff != "" {
		t.Errorf("who is let out is not who is let in (-out +in):\n%s", diff)
	}
	if diff := cmp.Diff(in.PodSelector, *out.Egress[0].To[0].PodSelector); diff != "" {
		t.Errorf("where to they are let out is not where they are let in (-in +out):\n%s", diff)
	}
}
