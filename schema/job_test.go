package schema

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// jobWith is a workflow of one task whose Job has more in its pod's
// specification, its own specification and itself.
func jobWith(pod, spec, self string) string {
	return workflow(`{"name":"a","type":"kube-job","job":{` + self + `"spec":{` + spec + `"template":{"spec":{` + pod + `"containers":[{"name":"c","image":"busybox"}]}}}}}`)
}

func containers(list string) string {
	return workflow(`{"name":"a","type":"kube-job","job":{"spec":{"template":{"spec":{"containers":` + list + `}}}}}`)
}

func TestParseAcceptsJobs(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"no image":         containers(`[{"name":"c"}]`),
		"OnFailure":        jobWith(`"restartPolicy":"OnFailure",`, ``, ``),
		"its kind":         jobWith(``, ``, `"apiVersion":"batch/v1","kind":"Job",`),
		"a name":           jobWith(``, ``, `"metadata":{"name":"pi"},`),
		"null for nothing": jobWith(`"nodeSelector":null,`, `"backoffLimit":null,`, `"metadata":null,`),
		"numbers":          jobWith(``, `"backoffLimit":0,"completions":3,"parallelism":2,"activeDeadlineSeconds":60,`, ``),
		"labels":           jobWith(``, ``, `"metadata":{"labels":{"example.com/a":"b_c","x":""},"annotations":{"Example.com/a":"any text, {}"}},`),
		"types that decode themselves": containers(`[{"name":"c","resources":{"limits":{"cpu":"500m","memory":1024}},
			"livenessProbe":{"httpGet":{"port":"http","path":"/"}},"readinessProbe":{"tcpSocket":{"port":80}}}]`),
		"environment": containers(`[{"name":"c","env":[{"name":"A","value":"$(B)"},{"name":"B.c-d","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}]`),
	}
	for name, doc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse([]byte(doc)); err != nil {
				t.Errorf("Parse: %v", err)
			}
		})
	}
}

func TestParseDecodesJobs(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(jobWith(`"restartPolicy":"OnFailure",`, `"backoffLimit":2,"activeDeadlineSeconds":9007199254740993,`, ``)))
	if err != nil {
		t.Fatal(err)
	}
	spec := d.Task("a").Job.Spec
	if *spec.BackoffLimit != 2 || *spec.ActiveDeadlineSeconds != 9007199254740993 {
		t.Errorf("backoffLimit %d, activeDeadlineSeconds %d", *spec.BackoffLimit, *spec.ActiveDeadlineSeconds)
	}
	if pod := spec.Template.Spec; pod.RestartPolicy != corev1.RestartPolicyOnFailure || pod.Containers[0].Image != "busybox" {
		t.Errorf("unexpected pod %+v", pod)
	}
}

func TestParseRejectsJobs(t *testing.T) {
	t.Parallel()
	const spec, pod = `$.tasks[0].job.spec`, `$.tasks[0].job.spec.template.spec`
	tests := map[string]struct {
		doc  string
		want []string
	}{
		"an empty job":        {workflow(`{"name":"a","type":"kube-job","job":{}}`), []string{pod + `.containers: a Job needs at least one container`}},
		"Always":              {jobWith(`"restartPolicy":"Always",`, ``, ``), []string{pod + `.restartPolicy: is "Always"; the pods of a Job need Never or OnFailure`}},
		"an unknown policy":   {jobWith(`"restartPolicy":"never",`, ``, ``), []string{pod + `.restartPolicy: is "never"; the pods of a Job need Never or OnFailure`}},
		"of another kind":     {jobWith(``, ``, `"apiVersion":"v1","kind":"Pod",`), []string{`$.tasks[0].job.apiVersion: is "v1"; it must be "batch/v1"`, `$.tasks[0].job.kind: is "Pod"; it must be "Job"`}},
		"a name for no label": {jobWith(``, ``, `"metadata":{"name":"a/b"},`), []string{`$.tasks[0].job.metadata.name: the name "a/b" has the character '/'`}},
		"labels and annotations": {jobWith(``, ``, `"metadata":{"labels":{"a b":"c","d":"e f"},"annotations":{"/x":""}},`), []string{
			`$.tasks[0].job.metadata.labels["a b"]: the label's key is not valid`, `$.tasks[0].job.metadata.labels.d: the label's value is not valid`,
			`$.tasks[0].job.metadata.annotations["/x"]: the annotation's key is not valid`}},
		"the template's labels": {workflow(`{"name":"a","type":"kube-job","job":{"spec":{"template":{"metadata":{"labels":{"-":""}},"spec":{"containers":[{"name":"c"}]}}}}}`), []string{
			spec + `.template.metadata.labels["-"]: the label's key is not valid`}},
		"negative numbers": {jobWith(``, `"parallelism":-1,"completions":-1,"backoffLimit":-2,"ttlSecondsAfterFinished":-1,"activeDeadlineSeconds":-1,`, ``), []string{
			spec + `.parallelism: is -1; it must not be negative`, spec + `.completions: is -1`, spec + `.backoffLimit: is -2`,
			spec + `.ttlSecondsAfterFinished: is -1`, spec + `.activeDeadlineSeconds: is -1`}},
		"unknown fields, each with its path": {workflow(`{"name":"a","type":"kube-job","job":{"Spec":1,"spec":{"backofLimit":1,"template":{"spec":{"containers":[{"name":"c"},{"name":"d","img":"x","Image":"x"}]}}}}}`), []string{
			`$.tasks[0].job.Spec: unknown field; did you mean "spec"?`, spec + `.backofLimit: unknown field; did you mean "backoffLimit"?`,
			pod + `.containers[1].Image: unknown field; did you mean "image"?`, pod + `.containers[1].img: unknown field`}},
		"wrong types, each with its path": {containers(`[{"name":1,"image":[],"command":"sh","args":["a",2],"tty":"yes","env":{},"resources":{"limits":{"cpu":"much"}},"ports":[{"containerPort":80.5}]}]`), []string{
			pod + `.containers[0].args[1]: is 2; it must be a string, so put it in quotes`, pod + `.containers[0].command: is a string; it must be an array`,
			pod + `.containers[0].env: is an object; it must be an array`, pod + `.containers[0].image: is an array; it must be a string`,
			pod + `.containers[0].name: is 1; it must be a string, so put it in quotes`, pod + `.containers[0].ports[0].containerPort: is 80.5; it must be a whole number of 32 bits`,
			pod + `.containers[0].resources.limits.cpu: is no Quantity`, pod + `.containers[0].tty: is a string; it must be true or false`}},
		"a number too large":       {jobWith(``, `"backoffLimit":2147483648,`, ``), []string{spec + `.backoffLimit: is 2147483648; it must be a whole number of 32 bits`}},
		"spec is no object":        {workflow(`{"name":"a","type":"kube-job","job":{"spec":[],"metadata":{"labels":"x"}}}`), []string{`$.tasks[0].job.metadata.labels: is a string; it must be an object`, spec + `: is an array; it must be an object`}},
		"containers' names":        {containers(`[{},{"name":"A"},{"name":"c"},{"name":"c"}]`), []string{pod + `.containers[0]: a container needs "name"`, pod + `.containers[1].name: the container's name is not valid`, pod + `.containers[3].name: the name "c" is already that of ` + pod + `.containers[2]`}},
		"an init container's name": {jobWith(`"initContainers":[{"name":"c"}],`, ``, ``), []string{pod + `.containers[0].name: the name "c" is already that of ` + pod + `.initContainers[0]`}},
		"NUL bytes": {containers(`[{"name":"c","command":["a","b\u0000"],"args":["\u0000"],"env":[{"name":"A","value":"x\u0000y"}]}]`), []string{
			pod + `.containers[0].command[1]: has a NUL byte (\u0000) at offset 1`, pod + `.containers[0].args[0]: has a NUL byte`,
			pod + `.containers[0].env[0].value: has a NUL byte (\u0000) at offset 1; no process can be started with it`}},
		"NUL bytes of an init container": {containers(`[{"name":"c"}],"initContainers":[{"name":"i","args":["\u0000"]}]`), []string{pod + `.initContainers[0].args[0]: has a NUL byte`}},
		"environment": {containers(`[{"name":"c","env":[{"value":"x"},{"name":"JOBNETES_TOKEN"},{"name":"a=b"}]}]`), []string{
			pod + `.containers[0].env[0]: an environment variable needs "name"`, pod + `.containers[0].env[1].name: "JOBNETES_TOKEN" is reserved`,
			pod + `.containers[0].env[2].name: the environment variable's name is not valid`}},
		"all at once": {workflow(`{"name":"a","type":"kube-job","next":"b","job":{"x":1}}`, `{"name":"b","type":"kube-job","job":{"y":1}}`), []string{
			`$.tasks[0].job.x: unknown field`, pod + `.containers: a Job needs`,
			`$.tasks[1].job.y: unknown field`, strings.Replace(pod, "0", "1", 1) + `.containers: a Job needs`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tc.doc))
			wantLines(t, err, tc.want)
		})
	}
}
