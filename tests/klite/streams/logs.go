package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

const (
	// lookAgain is how often a log is looked at that somebody follows.
	lookAgain = 100 * time.Millisecond
	// block is how much of a log is read at once, backwards.
	block = 64 * 1024
)

func (here node) serveLogs(out http.ResponseWriter, request *http.Request) {
	tail, follow, err := logOptions(request.URL.Query())
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	found, err := here.container(request.PathValue("namespace"), request.PathValue("pod"), request.PathValue("container"))
	if err != nil {
		http.Error(out, err.Error(), http.StatusNotFound)
		return
	}
	file, err := os.Open(found.log())
	if err == nil {
		defer file.Close()
		err = seek(file, tail)
	}
	if err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
		return
	}
	writer := flushing{out, http.NewResponseController(out)}
	beside, err := found.process()
	if err != nil || !follow {
		io.Copy(writer, file)
		return
	}
	defer beside.close()
	copyWhileAlive(writer, file, beside, request.Context().Done())
}

// logOptions reads what is asked for: how many lines at most, all if negative, and whether to go on. What a real
// kubelet knows beyond that is refused: who asks for half an hour must not be given a day.
func logOptions(query url.Values) (int, bool, error) {
	tail, follow := -1, false
	var err error
	for key, values := range query {
		switch value := values[0]; key {
		case "tailLines":
			if tail, err = strconv.Atoi(value); err == nil && tail < 0 {
				err = fmt.Errorf("a negative number of lines")
			}
		case "follow":
			follow, err = strconv.ParseBool(value)
		default:
			err = fmt.Errorf("%s is not known here", key)
		}
		if err != nil {
			return 0, false, err
		}
	}
	return tail, follow, nil
}

// seek goes to where the last lines of a file begin: so many, or all if negative.
func seek(file *os.File, lines int) error {
	if lines < 0 {
		return nil
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil || lines == 0 {
		return err
	}
	wanted := lines
	for at := end; at > 0; {
		size := min(block, at)
		at -= size
		piece := make([]byte, size)
		if _, err := file.ReadAt(piece, at); err != nil {
			return err
		}
		if at+size == end && piece[size-1] == '\n' {
			wanted++ // the end of the last line, not of one before it
		}
		for newline := bytes.LastIndexByte(piece, '\n'); newline >= 0; newline = bytes.LastIndexByte(piece, '\n') {
			if wanted--; wanted == 0 {
				_, err := file.Seek(at+int64(newline)+1, io.SeekStart)
				return err
			}
			piece = piece[:newline]
		}
	}
	_, err = file.Seek(0, io.SeekStart)
	return err
}

// copyWhileAlive writes what is in the file and what comes to it, until its process has ended or who asked has gone.
func copyWhileAlive(out io.Writer, file *os.File, from *process, gone <-chan struct{}) {
	ticks := time.NewTicker(lookAgain)
	defer ticks.Stop()
	for {
		last := !from.alive() // before the look: what it wrote before it ended is there then
		if _, err := io.Copy(out, file); err != nil || last {
			return
		}
		select {
		case <-ticks.C:
		case <-gone:
			return
		}
	}
}

// flushing sends at once what is written.
type flushing struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (to flushing) Write(piece []byte) (int, error) {
	count, err := to.ResponseWriter.Write(piece)
	if err != nil {
		return count, err
	}
	return count, to.control.Flush()
}
