"""The `temporal cloud` extension against a fresh Countersign: login by code with PKCE, namespaces, mTLS, keys, service accounts, users, groups,
custom roles, audit log. One line a promise; non-zero if one is not kept."""
import json
import subprocess
import sys
import threading

import browser
import planes
import report


class CloudCli:
    def __init__(self):
        self.binary = planes.tool("temporal-cloud")
        self.sign = planes.Countersign() if self.binary else None

    def __call__(self, *words, key=None, check=True):
        return self.sign.run(self.binary, *words, "--server", self.sign.control, "--auto-confirm", "-o", "json", check=check,
                             env={"TEMPORAL_API_KEY": key or self.sign.key})

    def json(self, *words, **more):
        """The last JSON value that the command printed."""
        text, at, value = self(*words, **more).stdout, 0, None
        while (at := min((i for i in (text.find("{", at), text.find("[", at)) if i >= 0), default=-1)) >= 0:
            try:
                value, size = json.JSONDecoder().raw_decode(text[at:])
                at += size
            except ValueError:
                at += 1
        return value

    def refused(self, *words, says, **more):
        done = self(*words, check=False, **more)
        report.need(done.returncode and says.lower() in (done.stderr + done.stdout).lower(), f"ended {done.returncode}, expected {says!r}: {done.stderr or done.stdout}")


def login(cloud, say):
    with say.promise("login by an authorization code with PKCE, whoami without a key, logout"):
        sign = cloud.sign
        config = ["--config-dir", sign.path("cloud"), "--config-file", sign.path("cloud.toml"), "--disable-pop-up"]
        # Without a path: the client looks for a browser to open, and some of those it finds wait for a screen.
        env = {"PATH": sign.directory, "HOME": sign.directory, "SSL_CERT_FILE": sign.ca_file}
        redirect = f"http://127.0.0.1:{planes.free_ports(1)[0]}/callback"
        child = subprocess.Popen([cloud.binary, "login", "--domain", f"https://{sign.control}", "--redirect-url", redirect, *config],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd=sign.directory)
        alarm = threading.Timer(60, child.kill)
        alarm.start()
        line = child.stdout.readline()
        report.need("https://" in line, line)
        page = browser.signed_in(sign).open(line[line.index("https://"):].strip())
        if "/callback" not in page.address:
            page.submit("answer=yes")
        rest = child.communicate()[0]
        alarm.cancel()
        report.need(child.returncode == 0, f"{page.status} {page.address} {rest}")
        who = sign.run(cloud.binary, "whoami", "--server", sign.control, "-o", "json", *config)
        report.need("owner@localhost" in who.stdout, who.stdout)
        sign.run(cloud.binary, "logout", *config, check=False)


def namespaces(cloud, say, ns):
    sign = cloud.sign
    for name in ("one", "two"):
        sign.cli("generate-certificates", "ca", "--organization", name, "--validity-period", "30d", "--ca-certificate-file", f"{name}.pem", "--ca-key-file", f"{name}.key")
    with say.promise("whoami, region list"):
        report.need("owner@localhost" in json.dumps(cloud.json("whoami")))
        report.need("aws-us-east-1" in json.dumps(cloud.json("region", "list")))
    with say.promise("namespace create, get, list; --idempotent swallows AlreadyExists"):
        create = ["namespace", "create", "-n", "ccli", "--region", "aws-us-east-1", "--retention-days", "7", "--api-key-auth-enabled"]
        cloud(*create)
        cloud.refused(*create, says="exist")
        cloud(*create, "--idempotent")
        report.need(cloud.json("namespace", "get", "-n", ns)["namespace"] == ns)
        report.need(ns in json.dumps(cloud.json("namespace", "list")))
    with say.promise("namespace mtls: cert-ca create, list, delete; enable, get, disable; the last CA taken away"):
        ca = ["namespace", "mtls", "cert-ca"]
        cloud(*ca, "create", "-n", ns, "--ca-certificate-file", "one.pem")
        cloud.refused(*ca, "create", "-n", ns, "--ca-certificate-file", "one.pem", says="nothing to change")
        cloud(*ca, "create", "-n", ns, "--ca-certificate-file", "one.pem", "--idempotent")
        cloud(*ca, "create", "-n", ns, "--ca-certificate-file", "two.pem")
        report.need("one" in json.dumps(cloud.json(*ca, "list", "-n", ns)))
        cloud("namespace", "mtls", "enable", "-n", ns, "--idempotent")
        cloud("namespace", "mtls", "get", "-n", ns)
        cloud("namespace", "mtls", "cert-filter", "create", "-n", ns, "--common-name", "worker")
        report.need("worker" in json.dumps(cloud.json("namespace", "mtls", "cert-filter", "list", "-n", ns)))
        cloud("namespace", "mtls", "cert-filter", "delete", "-n", ns, "--common-name", "worker")
        cloud("namespace", "mtls", "disable", "-n", ns)
        cloud(*ca, "delete", "-n", ns, "--ca-certificate-file", "two.pem")
        cloud(*ca, "delete", "-n", ns, "--ca-certificate-file", "one.pem")
        report.need("BEGIN" not in cloud("namespace", "get", "-n", ns).stdout)
    with say.promise("namespace api-key, retention, lifecycle, tag, search-attribute, codec"):
        cloud("namespace", "api-key", "get", "-n", ns)
        cloud("namespace", "retention", "set", "-n", ns, "--retention-days", "9")
        cloud.refused("namespace", "retention", "set", "-n", ns, "--retention-days", "9", says="nothing to change")
        cloud("namespace", "lifecycle", "set", "-n", ns, "--enable-delete-protection")
        cloud.refused("namespace", "delete", "-n", ns, says="protect")
        cloud("namespace", "lifecycle", "set", "-n", ns, "--enable-delete-protection=false")
        cloud("namespace", "tag", "create", "-n", ns, "--key", "team", "--value", "a")
        report.need("team" in json.dumps(cloud.json("namespace", "tag", "list", "-n", ns)))
        cloud("namespace", "tag", "delete", "-n", ns, "--key", "team")
        cloud("namespace", "search-attribute", "create", "-n", ns, "--name", "Customer", "--type", "Keyword")
        cloud("namespace", "search-attribute", "rename", "-n", ns, "--existing-name", "Customer", "--new-name", "Client")
        cloud("namespace", "codec", "set", "-n", ns, "--endpoint", "https://codec.example.com", "--custom-error-message-default-message", "ask us")
        report.need("ask us" in cloud("namespace", "codec", "get", "-n", ns).stdout)


def identities(cloud, say, ns):
    with say.promise("service-account create, create-namespace-scoped, get, list, update; its key: create, get, list, disable, enable, delete"):
        cloud("service-account", "create", "--name", "robot", "--account-role", "read", "--namespace-access", f"{ns}=write")
        cloud("service-account", "create-namespace-scoped", "--name", "scoped", "--namespace", ns, "--namespace-permission", "admin")
        accounts = {a["spec"]["name"]: a["id"] for a in find(cloud.json("service-account", "list"), "spec")}
        robot = ["--service-account-id", accounts["robot"]]
        cloud("service-account", "update", *robot, "--description", "does")
        report.need("does" in cloud("service-account", "get", *robot).stdout)
        made = json.dumps(cloud.json("apikey", "create-for-service-account", *robot, "--display-name", "k", "--expiry-duration", "24h"))
        keys = find(cloud.json("apikey", "list", *robot), "spec")
        key, secret = keys[0]["id"], next((w for w in made.replace('"', " ").split() if w.startswith("csk_")), None)
        report.need(secret, "the secret was not shown")
        report.need(cloud.json("whoami", key=secret))
        cloud("apikey", "disable", "--key-id", key)
        cloud.refused("whoami", key=secret, says="api key")
        cloud("apikey", "enable", "--key-id", key)
        cloud("apikey", "delete", "--key-id", key)
        cloud.refused("apikey", "delete", "--key-id", key, says="not")
        cloud("apikey", "create-for-me", "--display-name", "mine", "--expiry-duration", "24h")
        report.need("mine" in cloud("apikey", "list", "--user-email", "owner@localhost").stdout)
        for account in accounts.values():
            cloud("service-account", "delete", "--service-account-id", account)
    with say.promise("user invite, get, list, set-account-role, set-namespace-permissions; user-group with members; delete"):
        cloud("user", "invite", "--email", "ann@example.com", "--account-role", "developer", "--namespace-access", f"{ns}=write")
        ann = ["--user-email", "ann@example.com"]
        report.need("ann@example.com" in cloud("user", "get", *ann).stdout)
        report.need("ann@example.com" in cloud("namespace", "user", "list", "-n", ns).stdout)
        cloud("user", "set-account-role", *ann, "--account-role", "read")
        cloud("user", "set-namespace-permissions", *ann, "--namespace-access", f"{ns}=admin")
        cloud("user-group", "create-cloud-group", "--display-name", "ops", "--account-role", "read", "--namespace-access", f"{ns}=write")
        group = ["--group-id", find(cloud.json("user-group", "list"), "spec")[0]["id"]]
        cloud("user-group", "members", "add", *group, *ann)
        report.need(find(cloud.json("user-group", "members", "list", *group), "member_id"))
        cloud("user-group", "members", "remove", *group, *ann)
        cloud("user-group", "set-account-role", *group, "--account-role", "developer")
        cloud("user-group", "delete", *group)
        cloud("user", "delete", *ann)
    with say.promise("custom-role create, get, list, delete; account audit-log list; async-operation get"):
        cloud("custom-role", "create", "--spec", json.dumps({"name": "auditor", "permissions": [
            {"resources": {"resourceType": "account", "allowAll": True}, "actions": ["cloud.account.get"]}]}), "--async-operation-id", "role-1")
        report.need("role-1" in cloud("async-operation", "get", "--async-operation-id", "role-1").stdout)
        role = find(cloud.json("custom-role", "list"), "spec")[0]["id"]
        cloud("custom-role", "get", "--role-id", role)
        cloud("custom-role", "delete", "--role-id", role)
        report.need("CreateNamespace" in cloud("account", "audit-log", "list").stdout)
    with say.promise("account metrics cert-ca create is refused with a sentence that says where metrics are"):
        cloud.refused("account", "metrics", "cert-ca", "create", "--ca-certificate-file", "one.pem", says="metrics.listen")
    with say.promise("a wrong key is told that it is wrong; namespace delete"):
        cloud.refused("whoami", key="wrong", says="api key")
        cloud("namespace", "delete", "-n", ns)
        cloud.refused("namespace", "get", "-n", ns, says="not")


def find(value, name):
    """All the objects in `value` that have a member of this name, outermost first."""
    if isinstance(value, dict):
        if name in value:
            return [value]
        value = list(value.values())
    return [hit for one in value for hit in find(one, name)] if isinstance(value, list) else []


def main():
    cloud = CloudCli()
    if not cloud.binary:
        report.Report("temporal cloud").skipped("everything", "put its release (temporal-cloud) on the path or into interop/work/bin")
        return
    shown = subprocess.run([cloud.binary, "--version"], capture_output=True, text=True).stdout.split()
    say = report.Report(f"temporal cloud {shown[-1] if shown else ''}".strip())
    ns = f"ccli.{cloud.sign.account}"
    login(cloud, say)
    namespaces(cloud, say, ns)
    identities(cloud, say, ns)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    report.end()
