package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// name is what Kubernetes allows: it becomes part of a path here.
var name = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// node has the folder of its pods.
type node struct{ pods string }

// container has the folder of one container.
type container struct{ folder string }

// pod is where a pod is; an error if there is none.
func (here node) pod(namespace, pod string) (string, error) {
	if !name.MatchString(namespace) || !name.MatchString(pod) {
		return "", fmt.Errorf("no pod can be called %q", namespace+"/"+pod)
	}
	folder := filepath.Join(here.pods, namespace+"_"+pod)
	if _, err := os.Stat(folder); err != nil {
		return "", fmt.Errorf("pod %s/%s is not on this node", namespace, pod)
	}
	return folder, nil
}

// container finds one of a pod's; an error if it has none of that name.
func (here node) container(namespace, pod, wanted string) (container, error) {
	folder, err := here.pod(namespace, pod)
	if err != nil {
		return container{}, err
	}
	found := container{filepath.Join(folder, wanted)}
	if _, err := os.Stat(found.log()); err != nil || !name.MatchString(wanted) {
		return container{}, fmt.Errorf("pod %s/%s has no container %q that was started", namespace, pod, wanted)
	}
	return found, nil
}

// anyProcess is one of a pod's that runs, which are all on the same network.
func (here node) anyProcess(namespace, pod string) (*process, error) {
	folder, err := here.pod(namespace, pod)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(folder, "*", "pid"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if found, err := (container{filepath.Dir(file)}).process(); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("no container of pod %s/%s runs", namespace, pod)
}

func (of container) log() string { return filepath.Join(of.folder, "log") }

// process is its first process; an error if that has ended. Close it after use.
func (of container) process() (*process, error) {
	text, err := os.ReadFile(filepath.Join(of.folder, "pid"))
	if err != nil {
		return nil, fmt.Errorf("the container has not begun: %w", err)
	}
	words := strings.Fields(string(text))
	if len(words) != 2 {
		return nil, fmt.Errorf("%s/pid: not a process id and when that began", of.folder)
	}
	return openProcess(words[0], words[1])
}

// process is a folder in /proc that is held open: another that gets the same id later is not found in it.
type process struct{ folder *os.Root }

// openProcess opens the process that has this id and began then, by field 22 of /proc/PID/stat (proc(5)).
func openProcess(pid, began string) (*process, error) {
	folder, err := os.OpenRoot(filepath.Join("/proc", pid))
	if err != nil {
		return nil, errors.New("the container has ended")
	}
	found := &process{folder}
	fields, err := found.stat()
	if err != nil || fields[19] != began || fields[0] == "Z" {
		folder.Close()
		return nil, errors.New("the container has ended")
	}
	return found, nil
}

func (of *process) close() { of.folder.Close() }

func (of *process) read(file string) (string, error) {
	text, err := fs.ReadFile(of.folder.FS(), file)
	return string(text), err
}

// stat has the fields of its stat from the third (state) on: the name before them may hold anything.
func (of *process) stat() ([]string, error) {
	text, err := of.read("stat")
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return nil, errors.New("a stat that is cut off")
	}
	return fields, nil
}

// alive says whether it still runs.
func (of *process) alive() bool {
	fields, err := of.stat()
	return err == nil && fields[0] != "Z"
}
