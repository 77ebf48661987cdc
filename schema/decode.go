package schema

// taskList is a list of tasks of the document, with what checking it needs.
type taskList struct {
	at    *path
	nodes []*taskNode
	// partial is set if the list has elements of which no task could be made.
	partial bool
}

// taskNode is a task and its place in the document.
type taskNode struct {
	task *Task
	at   *path
	list *taskList
	// successors are the references to tasks of the same list.
	successors []reference
}

// reference is a place of the document that names a task.
type reference struct {
	name string
	at   *path
}

// decoder turns a document's tree into a Definition and reports what is wrong.
// It goes on after a problem wherever the rest still makes sense.
type decoder struct {
	*report
	lists []*taskList
	// byName holds the first task of every name.
	byName map[string]*taskNode
}

func (d *decoder) definition(tree any) *Definition {
	object, ok := tree.(map[string]any)
	if !ok {
		d.add(nil, "is %s; a definition is an object with name and tasks", kindOf(tree))
		return nil
	}
	d.checkKeys(object, nil, "a definition", []string{"$schema", "name", "description", "tasks"})
	var root *path
	definition := &Definition{
		Name:        d.requiredText(object, root, "a definition", "name"),
		Description: d.optionalText(object, root, "description"),
	}
	d.optionalText(object, root, "$schema")
	if isText(object["name"]) {
		checkName(d.report, root.child("name"), definition.Name)
	}
	tasks, ok := object["tasks"]
	if !ok {
		d.add(nil, `a definition needs "tasks", the list of its tasks`)
		return nil
	}
	definition.Tasks = d.list(tasks, root.child("tasks"))
	return definition
}

// list decodes a list of tasks, of the definition or of a parallel.
func (d *decoder) list(v any, at *path) []*Task {
	elements, ok := v.([]any)
	if !ok {
		d.add(at, "is %s; a list of tasks is an array", kindOf(v))
		return nil
	}
	if len(elements) == 0 {
		d.add(at, "is empty; a list needs at least one task")
		return nil
	}
	list := &taskList{at: at}
	d.lists = append(d.lists, list)
	tasks := make([]*Task, 0, len(elements))
	for i, element := range elements {
		node := d.task(element, at.at(i))
		if node == nil {
			list.partial = true
			continue
		}
		node.list = list
		list.nodes = append(list.nodes, node)
		list.partial = list.partial || node.task.Name == ""
		tasks = append(tasks, node.task)
	}
	return tasks
}

// task decodes one task. It returns nil if that is no object at all.
func (d *decoder) task(v any, at *path) *taskNode {
	object, ok := v.(map[string]any)
	if !ok {
		d.add(at, "is %s; a task is an object with name and type", kindOf(v))
		return nil
	}
	node := &taskNode{at: at, task: &Task{
		Name:        d.requiredText(object, at, "a task", "name"),
		Description: d.optionalText(object, at, "description"),
	}}
	d.registerName(object, node)
	node.task.Type = d.taskType(object, at)
	d.checkTaskKeys(object, at, node.task.Type)
	if next := d.optionalText(object, at, "next"); next != "" {
		node.task.Next = next
		node.successors = append(node.successors, reference{next, at.child("next")})
	}
	switch shapeOf(object, node.task.Type) {
	case KubeJob:
		d.kubeJob(object, node)
	case Parallel:
		d.parallel(object, node)
	case Branch:
		d.branch(object, node)
	}
	return node
}

// registerName checks a task's name and that no task before it has it.
func (d *decoder) registerName(object map[string]any, node *taskNode) {
	if !isText(object["name"]) {
		return
	}
	name, at := node.task.Name, node.at.child("name")
	checkName(d.report, at, name)
	if first, taken := d.byName[name]; taken && name != "" {
		d.add(at, "the name %q is already that of %s; names are unique in the whole definition", name, first.at)
		return
	}
	d.byName[name] = node
}

func (d *decoder) kubeJob(object map[string]any, node *taskNode) {
	at := node.at.child("job")
	switch job := object["job"].(type) {
	case map[string]any:
		node.task.Job = d.job(job, at)
		d.indexed(object, node)
	case nil:
		if _, given := object["job"]; !given {
			d.add(node.at, `a kube-job needs "job", the Job that it runs`)
			return
		}
		d.add(at, "is null; a job is an object")
	default:
		d.add(at, "is %s; a job is an object", kindOf(job))
	}
}

func (d *decoder) parallel(object map[string]any, node *taskNode) {
	v, given := object["task-sets"]
	if !given {
		d.add(node.at, `a parallel needs "task-sets", the array of its task lists`)
		return
	}
	at := node.at.child("task-sets")
	sets, ok := v.([]any)
	if !ok {
		d.add(at, "is %s; task-sets is an array of task lists", kindOf(v))
		return
	}
	for i, set := range sets {
		node.task.Sets = append(node.task.Sets, d.list(set, at.at(i)))
	}
}

func (d *decoder) branch(object map[string]any, node *taskNode) {
	node.task.Default = d.optionalText(object, node.at, "default")
	v, given := object["tasks"]
	if !given {
		d.add(node.at, `a branch needs "tasks", the array of its choices, each with condition and next`)
		return
	}
	at := node.at.child("tasks")
	choices, ok := v.([]any)
	if !ok {
		d.add(at, "is %s; a branch's tasks is an array of choices, each with condition and next", kindOf(v))
		return
	}
	for i, choice := range choices {
		d.choice(choice, at.at(i), node)
	}
	if name := node.task.Default; name != "" {
		node.successors = append(node.successors, reference{name, node.at.child("default")})
	}
	if _, given := object["default"]; len(choices) == 0 && (!given || isText(object["default"]) && node.task.Default == "") {
		d.add(at, "a branch without a choice and without a default can go nowhere; give it one")
	}
}

func (d *decoder) choice(v any, at *path, node *taskNode) {
	object, ok := v.(map[string]any)
	if !ok {
		d.add(at, "is %s; a choice is an object with condition and next", kindOf(v))
		return
	}
	d.checkKeys(object, at, "a choice", []string{"condition", "next", "description"})
	d.optionalText(object, at, "description")
	choice := Choice{Next: d.requiredText(object, at, "a choice", "next")}
	if choice.Next != "" {
		node.successors = append(node.successors, reference{choice.Next, at.child("next")})
	} else if isText(object["next"]) {
		d.add(at.child("next"), "is empty; name the task to go to")
	}
	source := d.requiredText(object, at, "a choice", "condition")
	if isText(object["condition"]) {
		var err error
		if choice.Condition, err = CompileCondition(source); err != nil {
			d.add(at.child("condition"), "%v", err)
		}
	}
	node.task.Choices = append(node.task.Choices, choice)
}
