package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"
)

// connection is Jupyter's connection file.
type connection struct {
	IP        string `json:"ip"`
	Transport string `json:"transport"`
	Key       string `json:"key"`
	Shell     int    `json:"shell_port"`
	Control   int    `json:"control_port"`
	IOPub     int    `json:"iopub_port"`
	Stdin     int    `json:"stdin_port"`
	Heartbeat int    `json:"hb_port"`
}

// message is one of Jupyter's messages; header and parent stay as they came.
type message struct {
	ids     [][]byte
	header  header
	raw     json.RawMessage // header
	content json.RawMessage
}

type header struct {
	ID       string `json:"msg_id"`
	Session  string `json:"session"`
	Username string `json:"username"`
	Date     string `json:"date"`
	Type     string `json:"msg_type"`
	Version  string `json:"version"`
}

// delimiter stands between a message's routing parts and its signature.
const delimiter = "<IDS|MSG>"

// server speaks Jupyter's protocol for one session.
type server struct {
	conn    connection
	id      string
	shell   zmq4.Socket
	control zmq4.Socket
	iopub   zmq4.Socket
	mu      sync.Mutex // guards iopub and cancel
	session *session
	cancel  context.CancelFunc
	parent  *message
	count   int
	shown   map[string]bool
}

// serve runs the kernel of a connection file until Jupyter shuts it down.
func serve(ctx context.Context, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s := &server{id: newID(), shown: map[string]bool{}}
	if err := json.Unmarshal(b, &s.conn); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	work, err := os.Getwd()
	if err != nil {
		return err
	}
	if s.session, err = newSession(work); err != nil {
		return err
	}
	defer s.session.close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.shell, s.control, s.iopub = zmq4.NewRouter(ctx), zmq4.NewRouter(ctx), zmq4.NewPub(ctx)
	stdin, beat := zmq4.NewRouter(ctx), zmq4.NewRep(ctx)
	for _, l := range []struct {
		socket zmq4.Socket
		port   int
	}{{s.shell, s.conn.Shell}, {s.control, s.conn.Control}, {s.iopub, s.conn.IOPub}, {stdin, s.conn.Stdin}, {beat, s.conn.Heartbeat}} {
		defer l.socket.Close()
		if err := l.socket.Listen(fmt.Sprintf("%s://%s:%d", s.conn.Transport, s.conn.IP, l.port)); err != nil {
			return err
		}
	}
	go echo(beat)
	go s.interrupts()
	go s.serveControl(stop)
	for {
		m, err := s.receive(s.shell)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errMessage):
			continue
		case err != nil:
			return err
		}
		if s.handle(ctx, s.shell, m) {
			return nil
		}
	}
}

// echo answers heartbeats.
func echo(beat zmq4.Socket) {
	for {
		m, err := beat.Recv()
		if err != nil || beat.Send(m) != nil {
			return
		}
	}
}

// interrupts stops the running cell at each interrupt.
func (s *server) interrupts() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	for range c {
		s.interrupt()
	}
}

func (s *server) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
}

// serveControl handles the control channel, where shutdowns come in while a
// cell runs.
func (s *server) serveControl(stop context.CancelFunc) {
	for {
		m, err := s.receive(s.control)
		if errors.Is(err, errMessage) {
			continue
		}
		if err != nil {
			return
		}
		if m.header.Type == "interrupt_request" {
			s.interrupt()
			s.reply(s.control, m, "interrupt_reply", map[string]any{"status": "ok"})
			continue
		}
		if s.handle(context.Background(), s.control, m) {
			s.interrupt()
			time.Sleep(50 * time.Millisecond)
			s.session.close()
			stop()
			os.Exit(0)
		}
	}
}

var errMessage = errors.New("not a message of Jupyter's")

func newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// sign is the signature of a message's four parts.
func (s *server) sign(parts [][]byte) []byte {
	mac := hmac.New(sha256.New, []byte(s.conn.Key))
	for _, p := range parts {
		mac.Write(p)
	}
	return []byte(hex.EncodeToString(mac.Sum(nil)))
}

// receive reads a message and checks its signature.
func (s *server) receive(socket zmq4.Socket) (*message, error) {
	raw, err := socket.Recv()
	if err != nil {
		return nil, err
	}
	f := raw.Frames
	at := 0
	for at < len(f) && string(f[at]) != delimiter {
		at++
	}
	if len(f)-at < 6 || !hmac.Equal(f[at+1], s.sign(f[at+2:at+6])) && s.conn.Key != "" {
		return nil, errMessage
	}
	m := &message{ids: f[:at], raw: f[at+2], content: f[at+5]}
	if json.Unmarshal(m.raw, &m.header) != nil {
		return nil, errMessage
	}
	return m, nil
}

// send writes a message whose parent is m.
func (s *server) send(socket zmq4.Socket, ids [][]byte, m *message, kind string, content any) {
	h := header{newID(), s.id, "kernsim", time.Now().UTC().Format(time.RFC3339Nano), kind, "5.3"}
	parent := json.RawMessage("{}")
	if m != nil {
		parent, h.Session = m.raw, m.header.Session
	}
	var parts [][]byte
	for _, v := range []any{h, parent, struct{}{}, content} {
		b, err := encode(v, "")
		if err != nil {
			b = []byte("{}")
		}
		parts = append(parts, b)
	}
	frames := append([][]byte{}, ids...)
	frames = append(frames, []byte(delimiter), s.sign(parts))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := socket.Send(zmq4.NewMsgFrom(append(frames, parts...)...)); err != nil {
		fmt.Fprintln(os.Stderr, "kernel:", err)
	}
}

func (s *server) reply(socket zmq4.Socket, m *message, kind string, content any) {
	s.send(socket, m.ids, m, kind, content)
}

func (s *server) publish(m *message, kind string, content any) {
	s.send(s.iopub, [][]byte{[]byte(kind)}, m, kind, content)
}

// handle answers a request; done says that it was a shutdown.
func (s *server) handle(ctx context.Context, socket zmq4.Socket, m *message) (done bool) {
	s.publish(m, "status", map[string]string{"execution_state": "busy"})
	defer s.publish(m, "status", map[string]string{"execution_state": "idle"})
	switch m.header.Type {
	case "kernel_info_request":
		s.reply(socket, m, "kernel_info_reply", kernelInfo())
	case "execute_request":
		s.execute(ctx, socket, m)
	case "shutdown_request":
		s.reply(socket, m, "shutdown_reply", map[string]any{"status": "ok", "restart": false})
		return true
	case "is_complete_request":
		s.reply(socket, m, "is_complete_reply", map[string]string{"status": "unknown"})
	case "comm_info_request":
		s.reply(socket, m, "comm_info_reply", map[string]any{"status": "ok", "comms": map[string]any{}})
	case "history_request":
		s.reply(socket, m, "history_reply", map[string]any{"status": "ok", "history": []any{}})
	case "complete_request":
		s.reply(socket, m, "complete_reply", map[string]any{"status": "ok", "matches": []any{}, "cursor_start": 0, "cursor_end": 0, "metadata": map[string]any{}})
	case "inspect_request":
		s.reply(socket, m, "inspect_reply", map[string]any{"status": "ok", "found": false, "data": map[string]any{}, "metadata": map[string]any{}})
	}
	return false
}

func kernelInfo() map[string]any {
	return map[string]any{
		"status": "ok", "protocol_version": "5.3", "implementation": "kernsim-go", "implementation_version": "0.1",
		"banner":        "Go cells in gonb's dialect",
		"language_info": map[string]any{"name": "go", "version": strings.TrimPrefix(runtime.Version(), "go"), "mimetype": "text/x-go", "file_extension": ".go"},
	}
}

// execute runs a cell.
func (s *server) execute(ctx context.Context, socket zmq4.Socket, m *message) {
	var req struct {
		Code   string `json:"code"`
		Silent bool   `json:"silent"`
	}
	if json.Unmarshal(m.content, &req) != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.cancel, s.parent = cancel, m
	s.mu.Unlock()
	s.count++
	s.publish(m, "execute_input", map[string]any{"code": req.Code, "execution_count": s.count})
	err := s.session.run(ctx, req.Code, s)
	if err != nil {
		e := map[string]any{"status": "error", "ename": "Error", "evalue": err.Error(), "traceback": []string{err.Error()}, "execution_count": s.count}
		s.publish(m, "error", e)
		s.reply(socket, m, "execute_reply", e)
		return
	}
	s.reply(socket, m, "execute_reply", map[string]any{"status": "ok", "execution_count": s.count, "user_expressions": map[string]any{}, "payload": []any{}})
}

// stream shows text under the running cell.
func (s *server) stream(name, text string) {
	s.publish(s.parent, "stream", map[string]string{"name": name, "text": text})
}

// display shows data under the running cell, or changes what it showed.
func (s *server) display(id string, data map[string]any) {
	kind := "display_data"
	content := map[string]any{"data": data, "metadata": map[string]any{}, "transient": map[string]any{}}
	if id != "" {
		content["transient"] = map[string]any{"display_id": id}
		if s.shown[id] {
			kind = "update_display_data"
		}
		s.shown[id] = true
	}
	s.publish(s.parent, kind, content)
}
