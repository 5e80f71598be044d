"""The real `tcld` against a fresh Countersign: login, certificates, namespaces, CAs, filters, auth method, lifecycle, keys, service accounts,
users, groups, account, requests. One line a promise; non-zero if one is not kept. Nothing of a command is changed but its server."""
import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
import time

import grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import browser
import planes
import report

FILTERS = '{"filters": [{"commonName": "worker"}, {"organization": "interop", "organizationalUnit": "ops"}]}'
OTHER = '{"filters": [{"subjectAlternativeName": "*.example.com"}]}'


class Tcld:
    def __init__(self):
        self.binary = planes.tool("tcld-v0.55.0", "tcld")
        if not self.binary:
            raise SystemExit("tcld is not installed; run interop/tools go")
        self.sign = planes.Countersign()
        self.by_login = False

    def version(self):
        return json.loads(subprocess.run([self.binary, "version"], capture_output=True, text=True).stdout)["Version"]

    def env(self):
        env = {"TEMPORAL_CLOUD_API_SERVER": self.sign.control, "TEMPORAL_CLOUD_CONFIG_DIR": self.sign.path("tcld"), "AUTO_CONFIRM": "true"}
        return env if self.by_login else {**env, "TEMPORAL_CLOUD_API_KEY": self.sign.key}

    def __call__(self, *words, check=True, **env):
        return self.sign.run(self.binary, *words, env={**self.env(), **env}, check=check)

    def json(self, *words, **env):
        """What the command printed as JSON; prompts and the differences that it shows, which have braces too, come before it."""
        text = self(*words, **env).stdout
        for at, letter in enumerate(text):
            if letter in "{[":
                try:
                    return json.loads(text[at:])
                except ValueError:
                    pass
        return text

    def base64(self, name):
        return base64.b64encode(self.sign.read(name)).decode()

    def refused(self, *words, says, **env):
        done = self(*words, check=False, **env)
        report.need(done.returncode and says in done.stderr + done.stdout, f"ended {done.returncode}, expected {says!r}: {done.stderr or done.stdout}")


def fulfilled(answer):
    status = answer.get("requestStatus", answer)
    state = status.get("state", "")
    report.need(str(state).lower() in ("fulfilled", "statefulfilled", "5"), answer)
    return status.get("requestId") or status.get("id")


def sha1(tcld, name):
    der = subprocess.run(["openssl", "x509", "-in", tcld.sign.path(name), "-outform", "DER"], capture_output=True).stdout
    return hashlib.sha1(der).hexdigest()


def login(tcld, say):
    with say.promise("without a login or key, with SSL_CERT_FILE: a wrong key is refused with a reason"):
        tcld.refused("namespace", "list", says="Unauthenticated", TEMPORAL_CLOUD_API_KEY="wrong")
    with say.promise("login by the device flow, approved on the code page, then commands without a key; logout"):
        tcld.by_login = True
        try:
            child = subprocess.Popen(
                [tcld.binary, "login", "--domain", f"https://{tcld.sign.control}", "--disable-pop-up"], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, env={"PATH": os.environ["PATH"], "HOME": tcld.sign.directory, "SSL_CERT_FILE": tcld.sign.ca_file, **tcld.env()})
            alarm = threading.Timer(90, child.kill)
            alarm.start()
            line = child.stderr.readline()
            report.need("https://" in line, line + child.stderr.read() if child.poll() is not None else line)
            page = browser.signed_in(tcld.sign).open(line.split(": ", 1)[1].strip())
            page.submit("answer=yes")
            rest = child.communicate()[1]
            alarm.cancel()
            report.need(child.returncode == 0 and "Successfully logged in" in rest, rest)
            mode = os.stat(tcld.sign.path("tcld/tokens.json")).st_mode & 0o777
            report.need(mode == 0o600, oct(mode))
            report.need(tcld.sign.namespace in tcld.json("namespace", "list")["namespaces"])
            report.need(tcld.json("user", "get", "--user-email", "owner@localhost"))
            tcld("logout", "--disable-pop-up", check=False)
            report.need(not os.path.exists(tcld.sign.path("tcld/tokens.json")), "tokens.json is still there")
        finally:
            tcld.by_login = False


def generate(tcld, say):
    with say.promise("generate-certificates ca and leaf, ECDSA and RSA"):
        for name, more in (("one", []), ("two", []), ("rsa", ["--rsa-algorithm"])):
            tcld("gen", "ca", "--org", "interop", "-d", "30d", "--ca-cert", f"{name}.pem", "--ca-key", f"{name}.key", *more)
        tcld("gen", "leaf", "--org", "interop", "--common-name", "worker", "-d", "7d", "--ca-cert", "one.pem", "--ca-key", "one.key", "--cert", "leaf.pem",
             "--key", "leaf.key")
        tcld.refused("gen", "ca", "--org", "interop", "-d", "7d", "--ca-cert", "no.pem", "--ca-key", "no.key", says="less than")
        tcld.refused("gen", "ca", "--org", "interop", "-d", "1.5y", "--ca-cert", "no.pem", "--ca-key", "no.key", says="more than")
        tcld("gen", "ca", "--org", "interop", "-d", "1y", "--ca-cert", "year.pem", "--ca-key", "year.key")
        tcld("gen", "leaf", "--org", "interop", "--organization-unit", "ops", "--ca-cert", "two.pem", "--ca-key", "two.key", "--cert", "ops.pem", "--key", "ops.key")


def namespaces(tcld, say, ns):
    with say.promise("namespace create, with every flag that is ours"):
        with open(tcld.sign.path("f.json"), "w") as f:
            f.write(FILTERS)
        fulfilled(tcld.json(
            "namespace", "create", "-n", "payments", "--region", "us-east-1", "--retention-days", "14", "--auth-method", "mtls", "--ca-certificate-file", "one.pem",
            "--certificate-filter-file", "f.json", "--search-attribute", "Customer=Keyword", "--user-namespace-permission", "owner@localhost=Admin",
            "--endpoint", "https://codec.example.com", "--pass-access-token", "--include-credentials", "--tag", "team=pay", "--request-id", "create-payments"))
    with say.promise("namespace create in the region `local`"):
        fulfilled(tcld.json("n", "c", "-n", "atlas", "--region", "local", "--auth-method", "api_key"))
    with say.promise("namespace create with a bundle as text, filters as text, protected; what is not had here is refused by name"):
        fulfilled(tcld.json("n", "c", "-n", "text", "--re", "us-east-1", "-c", tcld.base64("one.pem"), "--cfi", FILTERS, "--edp", "true", "--cp", "aws"))
        got = tcld.json("n", "g", "-n", f"text.{tcld.sign.account}")["spec"]
        report.need(got["authMethod"] == "Mtls" and len(got["certificateFilters"]) == 2 and got["lifecycle"]["enableDeleteProtection"], got)
        create = ["n", "c", "-n", "none", "--auth-method", "api_key", "--region"]
        tcld.refused(*create, "mars-1", says="there is no region mars-1")
        tcld.refused(*create, "us-east-1", "--ids", "rule", says="connectivity_rule_ids")
        tcld.refused(*create, "us-east-1", "-p", "nobody@example.com=Admin", says="NotFound")
        tcld.refused("n", "g", "-n", f"none.{tcld.sign.account}", says="NotFound")
    with say.promise("the same request id creates nothing twice, and is the same request"):
        tcld("n", "c", "-n", "twice", "--region", "us-east-1", "--auth-method", "api_key", "-r", "same")
        report.need(fulfilled(tcld.json("n", "c", "-n", "twice", "--region", "us-east-1", "--auth-method", "api_key", "-r", "same")) == "same")
    with say.promise("namespace get shows what was sent; list pages"):
        got = tcld.json("namespace", "get", "-n", ns)
        spec = got["spec"]
        report.need(got["namespace"] == ns and got["state"].lower().endswith("active"), got)
        report.need(spec["retentionDays"] == 14 and spec["authMethod"].lower().endswith("mtls") and spec["searchAttributes"], spec)
        report.need([f["commonName"] for f in spec["certificateFilters"]] == ["worker", ""], spec["certificateFilters"])
        report.need(spec["codecSpec"]["endpoint"] == "https://codec.example.com" and got["tags"] == {"team": "pay"}, got)
        names = tcld.json("namespace", "list")["namespaces"]
        report.need(ns in names and names == sorted(names), names)
        first = tcld.json("namespace", "list", "--page-size", "1")
        report.need(len(first["namespaces"]) == 1 and first["nextPageToken"], first)
        second = tcld.json("namespace", "list", "--page-size", "1", "--page-token", first["nextPageToken"])
        report.need(second["namespaces"] != first["namespaces"], second)
    with say.promise("a namespace that is not there, and a second one of the same name, are refused"):
        tcld.refused("n", "get", "-n", f"nothing.{tcld.sign.account}", says="NotFound")
        tcld.refused("n", "create", "-n", "payments", "--region", "us-east-1", "--auth-method", "api_key", says="AlreadyExists")
    with say.promise("request get tells of the operation"):
        status = tcld.json("request", "get", "--request-id", "create-payments")
        report.need(fulfilled(status) == "create-payments", status)
        report.need(status["requestStatus"]["operationType"] and status["requestStatus"]["resourceType"].lower() == "namespace", status)


def cas(tcld, say, ns):
    ca = ["namespace", "accepted-client-ca"]
    with say.promise("accepted-client-ca list, add, add again (nothing to change), remove by fingerprint and by file, set"):
        report.need([c["fingerprint"] for c in tcld.json(*ca, "list", "-n", ns)] == [sha1(tcld, "one.pem")])
        fulfilled(tcld.json(*ca, "add", "-n", ns, "--ca-certificate-file", "two.pem"))
        report.need(len(tcld.json(*ca, "list", "-n", ns)) == 2)
        tcld.refused(*ca, "add", "-n", ns, "-f", "two.pem", says="already exist")
        fulfilled(tcld.json(*ca, "remove", "-n", ns, "--ca-certificate-fingerprint", sha1(tcld, "two.pem")))
        tcld.refused(*ca, "remove", "-n", ns, "-f", "two.pem", says="does not exist")
        fulfilled(tcld.json(*ca, "add", "-n", ns, "-f", "rsa.pem"))
        fulfilled(tcld.json(*ca, "remove", "-n", ns, "-f", "rsa.pem"))
        tcld.refused(*ca, "set", "-n", ns, "-f", "one.pem", says="nothing to change")
        fulfilled(tcld.json(*ca, "set", "-n", ns, "-f", "two.pem"))
        fulfilled(tcld.json(*ca, "set", "-n", ns, "-f", "one.pem"))
        tcld("--idempotent", *ca, "set", "-n", ns, "-f", "one.pem")
        tcld.refused(*ca, "remove", "-n", ns, "--all", says="cannot remove all")
    with say.promise("accepted-client-ca by text; the last one stays while it is a way in, and goes with another"):
        fulfilled(tcld.json(*ca, "a", "-n", ns, "-c", tcld.base64("year.pem"), "-r", "add-year"))
        report.need(fulfilled(tcld.json("r", "g", "-r", "add-year")) == "add-year")
        fulfilled(tcld.json(*ca, "r", "-n", ns, "-c", tcld.base64("year.pem")))
        tcld.refused(*ca, "r", "-n", ns, "-c", tcld.base64("one.pem"), says="not removed all at once")
        text = f"text.{tcld.sign.account}"
        fulfilled(tcld.json("n", "am", "set", "-n", text, "--am", "api_key"))
        fulfilled(tcld.json(*ca, "r", "-n", text, "--all"))
        report.need(not tcld.json(*ca, "l", "-n", text))
    with say.promise("a stale resource version is refused"):
        tcld.refused(*ca, "set", "-n", ns, "-f", "two.pem", "--resource-version", "stale", says="version")


def filters(tcld, say, ns):
    cf = ["n", "cf"]
    with say.promise("certificate-filters export, import, add, clear"):
        tcld(*cf, "export", "-n", ns, "--certificate-filter-file", "out.json")
        report.need(json.loads(tcld.sign.read("out.json"))["filters"][0]["commonName"] == "worker")
        tcld(*cf, "add", "-n", ns, "-i", OTHER)
        report.need(len(tcld.json("n", "get", "-n", ns)["spec"]["certificateFilters"]) == 3)
        tcld(*cf, "import", "-n", ns, "--certificate-filter-input", OTHER)
        report.need(len(tcld.json("n", "get", "-n", ns)["spec"]["certificateFilters"]) == 1)
        tcld(*cf, "clear", "-n", ns)
        report.need(not tcld.json("n", "get", "-n", ns)["spec"]["certificateFilters"])
        tcld.refused(*cf, "import", "-n", ns, "-i", '{"filters": [{"commonName": "a*b"}]}', says="InvalidArgument")
        fulfilled(tcld.json(*cf, "imp", "-n", ns, "--file", "f.json"))
        fulfilled(tcld.json(*cf, "c", "-n", ns))


def settings(tcld, say, ns):
    with say.promise("auth-method get and set"):
        report.need(tcld("n", "am", "get", "-n", ns).stdout.strip() == "mtls")
        for method in ("api_key_or_mtls", "api_key", "restricted", "mtls"):
            fulfilled(tcld.json("n", "am", "set", "-n", ns, "--auth-method", method))
            report.need(tcld("n", "am", "get", "-n", ns).stdout.strip() == method, method)
        tcld.refused("n", "am", "set", "-n", ns, "--am", "mtls", says="nothing to change")
    with say.promise("lifecycle get and set; a protected namespace is not deleted"):
        fulfilled(tcld.json("n", "lc", "set", "-n", ns, "--enable-delete-protection", "true"))
        report.need("true" in tcld("n", "lc", "get", "-n", ns).stdout.lower())
        tcld.refused("n", "delete", "-n", ns, says="protect")
        fulfilled(tcld.json("n", "lc", "set", "-n", ns, "--edp", "false"))
    with say.promise("retention, search-attributes, tags, update-codec-server"):
        fulfilled(tcld.json("n", "retention", "set", "-n", ns, "--retention-days", "30"))
        report.need("30" in tcld("n", "retention", "get", "-n", ns).stdout)
        fulfilled(tcld.json("n", "search-attributes", "add", "-n", ns, "--search-attribute", "Order=Int"))
        fulfilled(tcld.json("n", "search-attributes", "rename", "-n", ns, "--existing-name", "Order", "--new-name", "Purchase"))
        report.need(set(tcld.json("n", "get", "-n", ns)["spec"]["searchAttributes"]) == {"Customer", "Purchase"})
        fulfilled(tcld.json("n", "sa", "rm", "-n", ns, "--sa", "Purchase"))
        tcld("n", "tags", "upsert", "-n", ns, "--tag", "env=live")
        tcld("n", "tags", "remove", "-n", ns, "--tag-key", "team")
        report.need(tcld.json("n", "get", "-n", ns)["tags"] == {"env": "live"})
        fulfilled(tcld.json("n", "update-codec-server", "-n", ns, "--endpoint", "https://other.example.com"))
        report.need(tcld.json("n", "g", "-n", ns)["spec"]["codecSpec"]["endpoint"] == "https://other.example.com")
    with say.promise("regions, capacity, failover, exports, connectivity: refused by name, nothing changed"):
        before = tcld.json("n", "g", "-n", ns)
        for words, says in (
                (["capacity", "get"], "capacity and provisioning"), (["capacity", "update", "--cm", "provisioned", "--cv", "2"], "capacity_spec"),
                (["failover", "--region", "us-west-2"], "regions of a running namespace"), (["add-region", "--region", "us-west-2"], "regions of a running"),
                (["delete-region", "--region", "us-west-2"], "regions of a running"), (["export", "s3", "list"], "exports of workflow histories"),
                (["update-high-availability", "--disable-auto-failover"], "high_availability"), (["set-connectivity-rules", "--ids", "x"], "connectivity_rule_ids")):
            tcld.refused("n", *words, "-n", ns, says=says)
        report.need(tcld.json("n", "g", "-n", ns) == before)


def keys(tcld, say):
    with say.promise("apikey create, get, list, disable, enable, delete"):
        made = tcld.json("apikey", "create", "--name", "one", "--description", "d", "--duration", "30d", "--request-id", "key-1")
        fulfilled(made)
        key, secret = made.get("id") or made["apiKeyId"], made["secretKey"]
        report.need(secret and tcld.sign.namespace in tcld.json("n", "list", TEMPORAL_CLOUD_API_KEY=secret)["namespaces"])
        got = tcld.json("ak", "get", "--id", key)
        got = got.get("apiKey", got)
        report.need(got["spec"]["displayName"] == "one" and got["state"].lower().endswith("active") and "secret" not in json.dumps(got).lower(), got)
        listed = tcld.json("ak", "list", "--owner-type", "user")
        report.need(key in json.dumps(listed), listed)
        fulfilled(tcld.json("ak", "disable", "-i", key))
        tcld.refused("n", "list", says="Unauthenticated", TEMPORAL_CLOUD_API_KEY=secret)
        tcld.refused("ak", "da", "-i", key, says="already disabled")
        fulfilled(tcld.json("ak", "enable", "-i", key))
        tcld("n", "list", TEMPORAL_CLOUD_API_KEY=secret)
        fulfilled(tcld.json("ak", "delete", "-i", key))
        tcld.refused("n", "list", says="Unauthenticated", TEMPORAL_CLOUD_API_KEY=secret)
    with say.promise("apikey create: 1.5y is taken, 3y is refused, an expiry in the past too"):
        tcld("ak", "c", "-n", "long", "-d", "1.5y")
        tcld.refused("ak", "c", "-n", "longer", "-d", "3y", says="InvalidArgument")
        fulfilled(tcld.json("ak", "c", "-n", "until", "-e", time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() + 86400 * 60))))
        tcld.refused("ak", "c", "-n", "past", "-e", "2020-01-01T00:00:00Z", says="expir")
    with say.promise("the same request id never makes a second key"):
        before = len(json.dumps(tcld.json("ak", "list")).split("displayName"))
        tcld("ak", "c", "-n", "retry", "-d", "1d", "--request-id", "retry-1")
        tcld("ak", "c", "-n", "retry", "-d", "1d", "--request-id", "retry-1", check=False)
        report.need(len(json.dumps(tcld.json("ak", "list")).split("displayName")) == before + 1)


def service_accounts(tcld, say, ns):
    with say.promise("service-account create, get, list, update, set-account-role, set-namespace-permissions, its keys, delete"):
        made = tcld.json("service-account", "create", "--name", "robot", "-d", "does", "--account-role", "Developer", "--namespace-permission", f"{ns}=Write")
        fulfilled(made)
        one = made["serviceAccountId"]
        got = tcld.json("sa", "get", "--id", one)
        got = got.get("serviceAccount", got)
        report.need(got["spec"]["access"]["namespaceAccesses"][ns]["permission"].lower().endswith("write"), got)
        report.need(one in json.dumps(tcld.json("sa", "list")["serviceAccount"]))
        fulfilled(tcld.json("sa", "update", "--id", one, "--description", "does more"))
        fulfilled(tcld.json("sa", "sar", "--id", one, "--account-role", "Read"))
        fulfilled(tcld.json("sa", "snp", "--id", one, "-p", f"{ns}=Read"))
        fulfilled(tcld.json("sa", "snp", "--id", one))
        tcld.refused("sa", "sar", "--id", one, "--account-role", "Read", says="nothing to change")
        key = tcld.json("ak", "create", "--name", "robot", "-d", "1d", "--service-account-id", one)
        fulfilled(key)
        report.need(tcld.json("n", "list", TEMPORAL_CLOUD_API_KEY=key["secretKey"]) is not None)
        report.need((key.get("apiKeyId") or key.get("id")) in json.dumps(tcld.json("ak", "list", "--owner-id", one, "--owner-type", "service-account")))
        fulfilled(tcld.json("sa", "delete", "--id", one))
        tcld.refused("n", "list", says="Unauthenticated", TEMPORAL_CLOUD_API_KEY=key["secretKey"])
    with say.promise("service-account to Admin and back: as an admin it has no permissions of its own"):
        one = tcld.json("sa", "c", "-n", "boss", "--ar", "Developer", "--np", f"{ns}=Read")["serviceAccountId"]
        fulfilled(tcld.json("sa", "sar", "--id", one, "--ar", "Admin"))
        access = tcld.json("sa", "g", "--id", one)["spec"]["access"]
        report.need(access["accountAccess"]["role"] == "Admin" and not access["namespaceAccesses"], access)
        fulfilled(tcld.json("sa", "sar", "--id", one, "--ar", "MetricsRead"))
        tcld.refused("sa", "d", "--id", one, "-v", "stale", says="version")
        fulfilled(tcld.json("sa", "d", "--id", one, "-r", "boss-ends"))
    with say.promise("service-account create-scoped"):
        made = tcld.json("sa", "create-scoped", "--name", "scoped", "--np", f"{ns}=Write")
        fulfilled(made)
        got = json.dumps(tcld.json("sa", "get", "--id", made["serviceAccountId"]))
        report.need("namespace" in got.lower() and ns in got, got)
        fulfilled(tcld.json("sa", "delete", "--id", made["serviceAccountId"]))


def users(tcld, say, ns):
    one = ["--user-email", "ann@example.com"]
    with say.promise("user invite, resend-invite, list, get, set-account-role, set-namespace-permissions, delete"):
        fulfilled(tcld.json("user", "invite", "--user-email", "ann@example.com", "--account-role", "Developer", "-p", f"{ns}=Write"))
        # Its address is nobody's to print here: it goes out by mail, and where no mail server is set the client is told what does without.
        tcld.refused("u", "ri", *one, says="countersign user resend-invite --user-email ann@example.com")
        report.need("/invitation?code=" in json.dumps(tcld.sign.cli("user", "resend-invite", "--user-email", "ann@example.com")))
        listed = tcld.json("u", "list")
        report.need({"ann@example.com", "owner@localhost"} <= {u["user"]["spec"]["email"] if "user" in u else u["spec"]["email"] for u in listed["users"]}, listed)
        report.need("ann@example.com" in json.dumps(tcld.json("u", "list", "-n", ns)))
        got = json.dumps(tcld.json("u", "get", *one))
        report.need("Developer" in got and ns in got, got)
        fulfilled(tcld.json("u", "sar", *one, "--account-role", "Read"))
        fulfilled(tcld.json("u", "snp", *one, "-p", f"{ns}=Admin"))
        fulfilled(tcld.json("u", "snp", *one))
        got = json.dumps(tcld.json("u", "get", *one))
        report.need("Read" in got and ns not in got, got)
        tcld.refused("u", "sar", *one, "--account-role", "Read", says="nothing to change")
        tcld.refused("u", "get", "--user-email", "nobody@example.com", says="NotFound")
        fulfilled(tcld.json("u", "sar", *one, "--account-role", "Admin"))
        user = tcld.json("u", "get", *one)["id"]
        report.need(tcld.json("u", "get", "--id", user)["spec"]["accountRole"]["role"] == "Admin")
        fulfilled(tcld.json("u", "delete", "--id", user))
    with say.promise("user invite of two at once, with FinanceAdmin; list pages"):
        fulfilled(tcld.json("u", "i", "-e", "cid@example.com", "-e", "dot@example.com", "--ar", "FinanceAdmin"))
        first = tcld.json("u", "list", "--page-size", "1")
        second = tcld.json("u", "list", "--page-size", "1", "--page-token", first["nextPageToken"])
        report.need(len(first["users"]) == 1 and first["users"] != second["users"], second)
        for name in ("cid", "dot"):
            fulfilled(tcld.json("u", "delete", "-e", f"{name}@example.com"))
    with say.promise("the last owner is not deleted"):
        tcld.refused("u", "delete", "--user-email", "owner@localhost", says="owner")


def groups(tcld, say, ns):
    with say.promise("user-group create, list, get, set-access, add-users, list-members, remove-users, delete"):
        tcld("user", "invite", "--user-email", "bob@example.com", "--account-role", "Read")
        fulfilled(tcld.json("user-group", "create", "--display-name", "payers", "--account-role", "read", "--namespace-role", f"{ns}-write"))
        group = next(g for g in tcld.json("ug", "list")["groups"] if g["spec"]["displayName"] == "payers")
        one = ["--group-id", group["id"]]
        report.need(tcld.json("ug", "get", *one)["group"]["spec"]["access"]["namespaceAccesses"][ns])
        fulfilled(tcld.json("ug", "set-access", *one, "--account-role", "developer", "--namespace-role", f"{ns}-admin"))
        fulfilled(tcld.json("ug", "sa", *one, "--remove", "--namespace-role", f"{ns}-admin"))
        fulfilled(tcld.json("ug", "sa", *one, "--append", "--namespace-role", f"{ns}-read"))
        tcld("ug", "add-users", *one, "--user-email", "bob@example.com")
        report.need(len(tcld.json("ug", "list-members", *one)["members"]) == 1)
        tcld("ug", "remove-users", *one, "-e", "bob@example.com")
        report.need(not tcld.json("ug", "lm", *one)["members"])
        tcld.refused("ug", "au", *one, "-e", "nobody@example.com", says="unable to")
        fulfilled(tcld.json("ug", "delete", *one))


def account(tcld, say):
    with say.promise("account get and list-regions"):
        report.need(isinstance(tcld.json("account", "get"), dict))
        report.need(any(r["CloudProviderRegion"] == "us-east-1" for r in tcld.json("account", "list-regions")), tcld("account", "list-regions").stdout)
    with say.promise("account metrics accepted-client-ca: list is empty, add is refused with a sentence that says where metrics are"):
        report.need("no client ca certificates" in tcld("account", "metrics", "accepted-client-ca", "list").stdout)
        for word in ("add", "set"):
            tcld.refused("account", "metrics", "accepted-client-ca", word, "--ca-certificate-file", "one.pem", says="metrics.listen")
        tcld.refused("account", "metrics", "enable", says="until ca certificates")
        tcld.refused("account", "metrics", "disable", says="already disabled")
    with say.promise("audit-log kinesis list; what is no part of a credential system is refused by name"):
        sink = ["account", "audit-log", "kinesis"]
        report.need(not tcld.json(*sink, "list")["sinks"])
        tcld.refused(*sink, "get", "--sink-name", "none", says="NotFound")
        tcld.refused(*sink, "create", "--sink-name", "s", "--rn", "r", "--du", "arn:aws:kinesis:us-east-1:1:stream/x", "--re", "us-east-1", says="https://")
        tcld.refused("nexus", "endpoint", "list", says="Nexus")
        tcld.refused("connectivity-rule", "list", says="connectivity rules")


def clean_up(tcld, say, ns):
    with say.promise("namespace delete; a client that goes by it is refused from then on"):
        fulfilled(tcld.json("namespace", "delete", "-n", ns))
        report.need(ns not in tcld.json("namespace", "list")["namespaces"])
        tcld.refused("n", "g", "-n", ns, says="NotFound")


def services(tcld, say):
    with say.promise("reflection lists the four services that only tcld speaks"):
        with grpc.secure_channel(tcld.sign.control, grpc.ssl_channel_credentials(tcld.sign.ca)) as channel:
            names = set(ProtoReflectionDescriptorDatabase(channel).get_services())
            wanted = {f"api.{name}service.v1.{name.title()}Service" for name in ("auth", "namespace", "request", "account")}
            report.need(wanted <= names, names)


def main():
    tcld = Tcld()
    say = report.Report(f"tcld {tcld.version()}")
    ns = f"payments.{tcld.sign.account}"
    services(tcld, say)
    login(tcld, say)
    generate(tcld, say)
    for part in (namespaces, cas, filters, settings):
        part(tcld, say, ns)
    keys(tcld, say)
    for part in (service_accounts, users, groups):
        part(tcld, say, ns)
    account(tcld, say)
    clean_up(tcld, say, ns)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    report.end()
