package verify

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Audit logs come in many ways: compressed, in parts, given twice, torn by a crash,
// without answers, with other things in them.
func TestAuditLogs(t *testing.T) {
	t.Parallel()
	text := func(lines []string) string { return strings.Join(lines, "\n") + "\n" }
	tests := map[string]struct {
		logs func(w *world) []string
		want AuditCounts // without times and Deletes
		find []Kind
	}{
		"whole": {
			func(w *world) []string { return []string{text(w.audit)} },
			AuditCounts{Creates: 6, Launched: 6, Matched: 6}, nil,
		},
		"compressed": {
			func(w *world) []string {
				var b bytes.Buffer
				z := gzip.NewWriter(&b)
				_, _ = z.Write([]byte(text(w.audit)))
				_ = z.Close()
				return []string{b.String()}
			},
			AuditCounts{Creates: 6, Launched: 6, Matched: 6}, nil,
		},
		"in parts, the later one first, and one twice": {
			func(w *world) []string { return []string{text(w.audit[3:]), text(w.audit[:3]), text(w.audit[:3])} },
			AuditCounts{Creates: 6, Launched: 6, Matched: 6}, nil,
		},
		"last line not whole yet": {
			func(w *world) []string { return []string{text(w.audit) + `{"kind":"Event","verb":"cre`} },
			AuditCounts{Creates: 6, Launched: 6, Matched: 6}, nil,
		},
		"torn by a crash": {
			func(w *world) []string {
				return []string{text(w.audit[:2]) + `{"kind":"Event","auditID":"1","verb":"crea` + text(w.audit[2:]) + "no JSON\n\n"}
			},
			AuditCounts{Creates: 6, Launched: 6, Matched: 6, Unreadable: 2}, nil,
		},
		"without answers": {
			func(w *world) []string { return []string{withoutAnswers(text(w.audit))} },
			AuditCounts{Creates: 6, Launched: 6, Matched: 6}, nil,
		},
		"without answers, a stranger's Job": {
			func(w *world) []string {
				w.create("stranger", nil)
				return []string{withoutAnswers(text(w.audit))}
			},
			AuditCounts{Creates: 6, Launched: 6, Matched: 6, Unattributed: 1}, nil,
		},
		"without answers, created twice": {
			func(w *world) []string {
				w.create(*w.task(1, "load").ExecutionName, nil)
				return []string{withoutAnswers(text(w.audit))}
			},
			AuditCounts{Creates: 7, Launched: 6, Matched: 6}, []Kind{LaunchedTwice},
		},
		"other things": {
			func(w *world) []string {
				name := *w.task(1, "load").ExecutionName
				creation := w.audit[len(w.audit)-1]
				w.create("stranger", map[string]string{"app": "x"})
				w.note("create", name, 403, nil)
				w.note("patch", name, 200, nil)
				for _, change := range [][2]string{
					{`"namespace":"jobs","resource"`, `"namespace":"other","resource"`}, {`"resource":"jobs"`, `"resource":"cronjobs"`}, {`"apiGroup":"batch"`, `"apiGroup":"x"`},
					{`"stage":"ResponseComplete"`, `"stage":"RequestReceived"`}, {`"verb"`, `"requestURI":"/apis/batch/v1?dryRun=All","verb"`},
					{`"resource":"jobs"`, `"resource":"jobs","subresource":"status"`},
				} {
					other := strings.Replace(strings.ReplaceAll(creation, "uid-", "other-uid-"), change[0], change[1], 1)
					if !strings.Contains(other, change[1]) {
						panic("the test has no line with " + change[0])
					}
					w.audit = append(w.audit, other)
				}
				return []string{text(w.audit)}
			},
			AuditCounts{Creates: 6, Launched: 6, Matched: 6}, nil,
		},
		"API server killed before it noted a creation": {
			func(w *world) []string {
				name := *w.task(1, "a").ExecutionName
				w.audit = without(w.audit, name)
				w.note("create", name, 409, nil)
				return []string{text(w.audit)}
			},
			AuditCounts{Creates: 5, Launched: 6, Matched: 5, Adopted: 1}, nil,
		},
		"API server killed before it noted a creation that it had answered": {
			func(w *world) []string {
				w.audit = without(w.audit, *w.task(1, "a").ExecutionName)
				return []string{text(w.audit)}
			},
			AuditCounts{Creates: 5, Launched: 6, Matched: 5, Unlogged: 1}, nil,
		},
		"etcd killed before it had confirmed a creation": {
			func(w *world) []string {
				name := *w.task(1, "a").ExecutionName
				w.audit = without(w.audit, name)
				w.note("create", name, 500, nil)
				return []string{text(w.audit)}
			},
			AuditCounts{Creates: 5, Launched: 6, Matched: 5, Unlogged: 1, Errored: 1}, nil,
		},
		"the same, and it was adopted": {
			func(w *world) []string {
				name := *w.task(1, "a").ExecutionName
				w.audit = without(w.audit, name)
				w.note("create", name, 504, nil)
				w.note("create", name, 409, nil)
				return []string{text(w.audit)}
			},
			AuditCounts{Creates: 5, Launched: 6, Matched: 5, Adopted: 1, Errored: 1}, nil,
		},
		"a creation that failed, and one that did not": {
			func(w *world) []string {
				w.note("create", *w.task(1, "a").ExecutionName, 500, nil)
				return []string{text(w.audit)}
			},
			AuditCounts{Creates: 6, Launched: 6, Matched: 6}, nil,
		},
		"unlogged, and the Job was deleted later": {
			func(w *world) []string {
				name := *w.task(1, "a").ExecutionName
				w.audit = without(w.audit, name)
				w.note("delete", name, 200, map[string]any{"kind": "Status", "details": map[string]any{"uid": w.jobs[name].UID}})
				delete(w.jobs, name)
				return []string{text(w.audit)}
			},
			AuditCounts{Creates: 5, Launched: 6, Matched: 5, Unlogged: 1}, nil,
		},
		"a deletion of another Job by that name proves nothing": {
			func(w *world) []string {
				name := *w.task(1, "a").ExecutionName
				w.audit = without(w.audit, name)
				w.note("delete", name, 200, map[string]any{"kind": "Status", "details": map[string]any{"uid": "another"}})
				delete(w.jobs, name)
				return []string{text(w.audit)}
			},
			AuditCounts{Creates: 5, Launched: 6, Matched: 5}, []Kind{CreateMissing},
		},
		"the Job exists, unlogged, and another one by its name was created": {
			func(w *world) []string {
				name := *w.task(1, "a").ExecutionName
				w.audit = without(w.audit, name)
				own := w.jobs[name]
				w.create(name, own.Labels)
				w.jobs[name] = own
				return []string{text(w.audit)}
			},
			AuditCounts{Creates: 6, Launched: 6, Matched: 5}, []Kind{LaunchedTwice},
		},
		"begins late": {
			func(w *world) []string { return []string{text(w.audit[5:])} },
			AuditCounts{Creates: 1, Launched: 6, Matched: 1, Outside: 5}, nil,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sqlite(t))
			w.run(w.start(all, "{}"), well)
			var logs []Log
			for i, text := range tc.logs(w) {
				logs = append(logs, Log{Name: fmt.Sprint("audit-", i), Reader: strings.NewReader(text)})
			}
			delete(w.jobs, "stranger")
			r := w.verifyWith(logs)
			got := *r.Audit
			got.From, got.To, got.Deletes = nil, nil, nil
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tc.want) || !slices.Equal(kinds(r), tc.find) {
				t.Errorf("%+v, want %+v; found %+v, want %v", got, tc.want, r.Findings, tc.find)
			}
		})
	}
}

// without is the log without what it has of a Job.
func without(lines []string, job string) []string {
	return slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, `"`+job+`"`) })
}

// withoutAnswers is the log at level Metadata.
func withoutAnswers(text string) string {
	return strings.ReplaceAll(text, `"responseObject"`, `"notLogged"`)
}

// Who has deleted Jobs is told.
func TestDeletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlite(t))
	w.run(w.start(all, "{}"), well)
	for _, name := range []string{"a", "b"} {
		w.note("delete", *w.task(1, name).ExecutionName, 200, nil)
	}
	w.note("delete", *w.task(1, "c").ExecutionName, 404, nil)
	w.note("delete", "stranger", 200, nil)
	r := w.verify()
	if got := fmt.Sprint(r.Audit.Deletes); got != fmt.Sprintf("map[%s:2]", managerUser) {
		t.Errorf("deletes: %s", got)
	}
	if !r.Audit.From.Before(*r.Audit.To) || !r.Audit.To.Equal(w.now.Truncate(time.Second)) {
		t.Errorf("the log is from %s to %s", r.Audit.From, r.Audit.To)
	}
}

// What has nothing to say about Jobs proves nothing: it is an error if it should have,
// and else no proof.
func TestAuditLogsWithoutJobs(t *testing.T) {
	t.Parallel()
	pods := func(w *world, ago time.Duration) string {
		w.now = w.now.Add(-ago)
		w.note("create", "p", 201, nil)
		w.now = w.now.Add(ago)
		return strings.Replace(w.audit[len(w.audit)-1], `"resource":"jobs"`, `"resource":"pods"`, 1) + "\n"
	}
	tests := map[string]struct {
		log     func(w *world) string
		idle    bool // no task has a Job
		refused bool
	}{
		"empty":                          {func(*world) string { return "" }, false, true},
		"garbage":                        {func(*world) string { return "garbage\n" }, false, true},
		"garbage without an end":         {func(*world) string { return "garbage" }, false, true},
		"JSON that is no event":          {func(*world) string { return "{}\n[1]\n" }, false, true},
		"other things, before and after": {func(w *world) string { return pods(w, time.Hour) + pods(w, 0) }, false, true},
		"other things, before":           {func(w *world) string { return pods(w, time.Hour) }, false, false},
		"another namespace's": {func(w *world) string {
			return strings.ReplaceAll(strings.Join(w.audit, "\n")+"\n", `"jobs","`, `"other","`)
		}, false, true},
		"empty, and no task has a Job there": {func(*world) string { return "" }, true, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sqlite(t))
			id := w.start(all, "{}")
			if !tc.idle {
				w.run(id, well)
			}
			r, err := w.tryVerify([]Log{{Name: "audit.log", Reader: strings.NewReader(tc.log(w))}})
			if tc.refused {
				if err == nil || !strings.Contains(err.Error(), "audit log audit.log has no event about Jobs of namespace jobs, though 6 tasks have a Job there: ") {
					t.Fatalf("%v, %+v", err, r)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(r.Proved, func(s string) bool { return strings.Contains(s, "audit log") }) {
				t.Errorf("proved %q", r.Proved)
			}
			if !slices.ContainsFunc(r.Unchecked, func(s string) bool { return strings.Contains(s, "two Jobs one after the other") }) {
				t.Errorf("not checked: %q", r.Unchecked)
			}
		})
	}
}
