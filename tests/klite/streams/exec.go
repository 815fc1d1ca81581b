package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/creack/pty"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// died is added to the number of the signal that ended a command, as shells and runtimes do.
const died = 128

func (here node) serveExec(out http.ResponseWriter, request *http.Request) {
	options, err := remotecommand.NewOptions(request)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	found, err := here.container(request.PathValue("namespace"), request.PathValue("pod"), request.PathValue("container"))
	if err != nil {
		http.Error(out, err.Error(), http.StatusNotFound)
		return
	}
	beside, err := found.process()
	if err != nil { // in the words of a kubelet
		http.Error(out, fmt.Sprintf("container not found (%q)", request.PathValue("container")), http.StatusInternalServerError)
		return
	}
	defer beside.close()
	words := request.URL.Query()["command"]
	if len(words) == 0 {
		http.Error(out, "no command", http.StatusBadRequest)
		return
	}
	usual := streaming.DefaultConfig
	remotecommand.ServeExec(out, request, executor{beside}, "", "", "", words, options,
		usual.StreamIdleTimeout, usual.StreamCreationTimeout, usual.SupportedRemoteCommandProtocols)
}

// executor runs commands beside the first process of a container.
type executor struct{ beside *process }

// ExecInContainer ends when the command does; that is what it returns, by utilexec.ExitError unless it ended with 0.
func (in executor) ExecInContainer(
	_ context.Context, _, _, _ string, words []string, stdin io.Reader, stdout, stderr io.WriteCloser, tty bool,
	resize <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	command := &exec.Cmd{Args: words}
	if tty {
		return exit(onTerminal(in.beside, command, stdin, stdout, resize))
	}
	return exit(onPipes(in.beside, command, stdin, stdout, stderr))
}

func onPipes(beside *process, command *exec.Cmd, stdin io.Reader, stdout, stderr io.Writer) error {
	if stdout != nil { // an interface that holds nil would be written to
		command.Stdout = stdout
	}
	if stderr != nil {
		command.Stderr = stderr
	}
	if stdin != nil {
		pipe, err := command.StdinPipe() // Wait does not wait for its end, which may never come
		if err != nil {
			return err
		}
		go func() {
			defer pipe.Close()
			io.Copy(pipe, stdin)
		}()
	}
	if err := beside.start(command); err != nil {
		return err
	}
	return command.Wait()
}

func onTerminal(
	beside *process, command *exec.Cmd, stdin io.Reader, stdout io.Writer, resize <-chan remotecommand.TerminalSize,
) error {
	ours, theirs, err := pty.Open()
	if err != nil {
		return err
	}
	defer ours.Close()
	if err := give(theirs, beside); err != nil {
		return err
	}
	command.Stdin, command.Stdout, command.Stderr = theirs, theirs, theirs
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = beside.start(command)
	theirs.Close()
	if err != nil {
		return err
	}
	go func() {
		for size := range resize {
			pty.Setsize(ours, &pty.Winsize{Rows: size.Height, Cols: size.Width})
		}
	}()
	if stdin != nil {
		go io.Copy(ours, stdin)
	}
	if stdout != nil {
		io.Copy(stdout, ours) // ends with EIO when nobody has the other side open any more
	}
	return command.Wait()
}

// give makes the terminal the property of who is going to sit at it.
func give(terminal *os.File, to *process) error {
	who, err := to.credential()
	if err != nil {
		return err
	}
	return terminal.Chown(int(who.Uid), -1)
}

// exit is how the command ended, as the streaming library wants to hear it.
func exit(err error) error {
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		return err
	}
	code := ended.ExitCode()
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = died + int(status.Signal())
	}
	return utilexec.CodeExitError{Err: err, Code: code}
}
