package chaos

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// TestNetworkCuts sends lines from node a to node b, with answers: a cut holds
// back one direction, and what it held back arrives when it is over.
func TestNetworkCuts(t *testing.T) {
	n := newNetwork(1)
	defer n.close()
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	heard := make(chan string, 10)
	go func() {
		conn, err := b.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			heard <- lines.Text()
			fmt.Fprintln(conn, "re: "+lines.Text())
		}
	}()
	addr, err := n.before("b", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	hello, err := msgpack.Marshal(map[string]string{"n": "a"})
	if err != nil {
		t.Fatal(err)
	}
	first := append(binary.BigEndian.AppendUint32([]byte("antipode"), uint32(len(hello))), make([]byte, 9)...)
	if _, err := fmt.Fprintf(a, "%s%s\n", first, hello); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(a)
	answer := func() string {
		t.Helper()
		line, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	<-heard
	answer()

	n.set(rule{cut: true}, direction{"b", "a"}) // b hears and cannot answer
	fmt.Fprintln(a, "one")
	if got := <-heard; got != "one" {
		t.Fatalf("b heard %q", got)
	}
	n.set(rule{cut: true}, direction{"a", "b"})
	fmt.Fprintln(a, "two")
	n.set(rule{}, direction{"b", "a"})
	if got := answer(); got != "re: one\n" {
		t.Fatalf("a heard %q", got)
	}
	select {
	case got := <-heard:
		t.Fatalf("%q came through a cut", got)
	default:
	}
	n.set(rule{delay: 1, jitter: 1000, loss: 0.5}, direction{"a", "b"})
	if got := <-heard; got != "two" {
		t.Fatalf("b heard %q", got)
	}
	n.heal()
	if got := answer(); got != "re: two\n" {
		t.Fatalf("a heard %q", got)
	}
}
