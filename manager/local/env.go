package local

import (
	"cmp"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// envOutput names the variable that holds the path of the file whose
	// content becomes the termination message.
	envOutput = "JOBNETES_OUTPUT"
	// envContainer marks every process of a container, unless it drops its
	// environment.
	envContainer = "JOBNETES_CONTAINER_ID"
	// envCompletionIndex is Kubernetes' own name for a pod's index.
	envCompletionIndex = "JOB_COMPLETION_INDEX"
)

// subscriptPath matches the field paths with a key, such as
// metadata.labels['app'].
var subscriptPath = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)

// baseEnv is what containers, and the processes that run Jobs, inherit from
// this process: enough for tools to work. The rest stays out, because it may
// hold settings and passwords of the services.
func baseEnv() []string {
	env := []string{
		"PATH=" + cmp.Or(os.Getenv("PATH"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
		"HOME=" + cmp.Or(os.Getenv("HOME"), "/"),
		"LANG=" + cmp.Or(os.Getenv("LANG"), "C.UTF-8"),
		"TMPDIR=" + os.TempDir(),
	}
	for _, name := range []string{"USER", "LOGNAME", "SHELL", "LC_ALL", "TZ"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// containerVars are the variables that the container's own env gives, by name.
// Later ones may use earlier ones, as in Kubernetes. JOBNETES_OUTPUT is output,
// whatever the Job says.
func containerVars(pod *corev1.Pod, c *corev1.Container, output string) map[string]string {
	vars := map[string]string{}
	if index, ok := pod.Annotations[batchv1.JobCompletionIndexAnnotation]; ok {
		vars[envCompletionIndex] = index
	}
	for _, v := range c.Env {
		switch {
		case v.Name == envOutput:
			vars[v.Name] = output
		case v.ValueFrom != nil && v.ValueFrom.FieldRef != nil:
			vars[v.Name], _ = podField(pod, v.ValueFrom.FieldRef.FieldPath)
		default:
			vars[v.Name] = expand(v.Value, vars)
		}
	}
	vars[envOutput] = output
	return vars
}

// containerMark is the variable by which the processes of a container of the
// pod are known.
func containerMark(pod types.UID, container string) string {
	return envContainer + "=" + string(pod) + "/" + container
}

// processEnv is the whole environment of the pod's container c with these
// variables.
func processEnv(pod *corev1.Pod, c *corev1.Container, vars map[string]string) []string {
	env := append(baseEnv(), "HOSTNAME="+pod.Name)
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, name+"="+vars[name])
	}
	return append(env, containerMark(pod.UID, c.Name))
}

// podField is the value of a field of the pod that env may refer to; ok tells
// whether there is such a field.
func podField(pod *corev1.Pod, path string) (value string, ok bool) {
	switch path {
	case "metadata.name":
		return pod.Name, true
	case "metadata.namespace":
		return pod.Namespace, true
	case "metadata.uid":
		return string(pod.UID), true
	}
	m := subscriptPath.FindStringSubmatch(path)
	if m == nil {
		return "", false
	}
	if m[1] == "labels" {
		return pod.Labels[m[2]], true
	}
	return pod.Annotations[m[2]], true
}

// expand replaces $(NAME) by the variable's value, and $$ by $. A reference to
// an unknown variable stays as it is. These are Kubernetes' rules for command,
// args and env.
func expand(s string, vars map[string]string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		ref, rest, closed := strings.Cut(after, ")")
		switch {
		case strings.HasPrefix(after, "$"):
			b.WriteByte('$')
			s = after[1:]
		case closed && strings.HasPrefix(ref, "("):
			value, ok := vars[ref[1:]]
			if !ok {
				value = "$" + ref + ")"
			}
			b.WriteString(value)
			s = rest
		default:
			b.WriteByte('$')
			s = after
		}
	}
}

// expandAll expands each of list.
func expandAll(list []string, vars map[string]string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = expand(s, vars)
	}
	return out
}
