"""Makes the data directory that every sample starts from: BINARY DIRECTORY PKI. One namespace at ns1.test, mTLS, one accepted CA."""
import sys

from plane import Plane

binary, directory, pki = sys.argv[1:]
plane = Plane(binary, directory)
account = plane.cli("account", "get")["id"]
plane.cli("namespace", "create", "--namespace", "bench", "--upstream", "http://127.0.0.1:20999", "--auth-method", "mtls",
          "--ca-certificate-file", pki + "/client-ca.pem", "--hostname", "ns1.test")
plane.cli("namespace", "get", "--namespace", f"bench.{account}")
plane.stop()
