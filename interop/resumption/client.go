// Go's net/http with one ClientSessionCache, which outlives the client's certificate. Reads from its input `show CERT KEY`, `ask N` (each by a
// connection of its own) and `keep N` (by one transport), and prints a line of statuses for each; `r` behind one says that its session was
// resumed.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

var (
	lock  sync.Mutex
	shown tls.Certificate
)

func transport(config *tls.Config, address string) *http.Transport {
	return &http.Transport{
		TLSClientConfig: config,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
}

func ask(transport *http.Transport, url string) string {
	answer, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		return strings.ReplaceAll(err.Error(), " ", "_")
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	if answer.TLS != nil && answer.TLS.DidResume {
		return strconv.Itoa(answer.StatusCode) + "r"
	}
	return strconv.Itoa(answer.StatusCode)
}

func main() {
	url, ca, address, version := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	pem, err := os.ReadFile(ca)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{
		RootCAs:            roots,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			lock.Lock()
			defer lock.Unlock()
			now := shown
			return &now, nil
		},
	}
	if version == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	kept := transport(config, address)
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := strings.Fields(input.Text())
		if words[0] == "show" {
			pair, err := tls.LoadX509KeyPair(words[1], words[2])
			if err != nil {
				panic(err)
			}
			lock.Lock()
			shown = pair
			lock.Unlock()
			fmt.Println("shown")
			continue
		}
		count, _ := strconv.Atoi(words[1])
		var said []string
		for i := 0; i < count; i++ {
			one := kept
			if words[0] == "ask" {
				one = transport(config, address)
			}
			said = append(said, ask(one, url))
			if words[0] == "ask" {
				one.CloseIdleConnections()
			}
		}
		fmt.Println(strings.Join(said, " "))
	}
}
