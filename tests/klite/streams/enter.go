package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// onThread runs what changes the thread it runs on, which ends with it.
func onThread(change func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and is never unlocked: so the runtime ends the thread
		done <- change()
	}()
	return <-done
}

// join brings this thread into one of the process's namespaces.
func (of *process) join(kind string, flag int) error {
	file, err := of.open("ns/"+kind, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(file)
	if err := unix.Setns(file, flag); err != nil {
		return fmt.Errorf("namespace %s: %w", kind, err)
	}
	return nil
}

// open opens what a magic link of /proc leads to, which os.Root would not follow.
func (of *process) open(file string, flags int) (int, error) {
	folder, err := of.folder.Open(".")
	if err != nil {
		return 0, err
	}
	defer folder.Close()
	found, err := unix.Openat(int(folder.Fd()), file, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("the container has ended, or %s is missing: %w", file, err)
	}
	return found, nil
}

// start starts a command beside the process: in its namespaces, below its root, in its folder, with its environment, as
// its user with its groups, and without a way to more rights. A container runtime does the same for who may exec.
func (of *process) start(command *exec.Cmd) error {
	who, err := of.credential()
	if err != nil {
		return err
	}
	environment, err := of.read("environ")
	if err != nil {
		return err
	}
	command.Env = strings.Split(strings.TrimSuffix(environment, "\x00"), "\x00")
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Credential = who
	return onThread(func() error {
		if err := of.enter(); err != nil {
			return err
		}
		if command.Path, err = find(command.Args[0], command.Env); err != nil {
			return err
		}
		command.Err = nil // of a look-up in this program's own path
		return command.Start()
	})
}

// enter brings this thread where the process is; children of it are in its process namespace as well.
func (of *process) enter() error {
	root, err := of.open("root", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	folder, err := of.open("cwd", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(folder)
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // setns(2) wants a root that no other thread has
		return err
	}
	for _, each := range []struct {
		kind string
		flag int
	}{{"net", unix.CLONE_NEWNET}, {"pid", unix.CLONE_NEWPID}, {"mnt", unix.CLONE_NEWNS}} {
		if err := of.join(each.kind, each.flag); err != nil {
			return err
		}
	}
	if err := unix.Fchdir(root); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := unix.Fchdir(folder); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// credential is the process's user with its groups.
func (of *process) credential() (*syscall.Credential, error) {
	status, err := of.read("status")
	if err != nil {
		return nil, err
	}
	said := map[string][]uint32{}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		if key != "Uid" && key != "Gid" && key != "Groups" {
			continue
		}
		for _, word := range strings.Fields(value) {
			number, err := strconv.ParseUint(word, 10, 32)
			if err != nil {
				return nil, err
			}
			said[key] = append(said[key], uint32(number))
		}
	}
	if len(said["Uid"]) == 0 || len(said["Gid"]) == 0 {
		return nil, fmt.Errorf("no user in %q", status)
	}
	return &syscall.Credential{Uid: said["Uid"][0], Gid: said["Gid"][0], Groups: said["Groups"]}, nil
}

// find looks for a program as execvp(3) does, by the PATH of its own environment to be.
func find(program string, environment []string) (string, error) {
	if strings.Contains(program, "/") {
		return program, nil
	}
	for _, variable := range environment {
		folders, is := strings.CutPrefix(variable, "PATH=")
		if !is {
			continue
		}
		for _, folder := range filepath.SplitList(folders) {
			found := path.Join(folder, program)
			if about, err := os.Stat(found); err == nil && about.Mode().IsRegular() && about.Mode()&0o111 != 0 {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", program)
}
