"""curl on every HTTP path of the Cloud Ops API: the paths come from the annotations that Temporal's own Python package carries. Each noun is
made, read, changed and deleted in JSON; then every path is called. One line a promise; non-zero if one is not kept."""
import json
import re
import subprocess
import sys

from google.api import annotations_pb2
from temporalio.api.cloud.cloudservice.v1 import service_pb2

import planes
import report

HTTP_OF = {3: 400, 5: 404, 6: 409, 7: 403, 9: 400, 12: 501, 16: 401}


def rules():
    """Method name, verb, path template, whether it takes a body; from the descriptors."""
    for method in service_pb2.DESCRIPTOR.services_by_name["CloudService"].methods:
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        for binding in (rule, *rule.additional_bindings):
            verb = binding.WhichOneof("pattern")
            yield method.name, verb.upper(), getattr(binding, verb), binding.body


class Curl:
    def __init__(self, sign):
        self.sign = sign

    def __call__(self, verb, path, body=None, key=None, *more):
        """Status and JSON."""
        words = ["curl", "-sS", "--cacert", self.sign.ca_file, "-X", verb, "-w", "\n%{http_code} %{content_type}", "-H", f"Authorization: Bearer {key or self.sign.key}"]
        if body is not None:
            words += ["-H", "Content-Type: application/json", "-d", body if isinstance(body, str) else json.dumps(body)]
        done = subprocess.run([*words, *more, f"https://{self.sign.control}{path}"], capture_output=True, text=True, timeout=30)
        text, _, tail = done.stdout.rpartition("\n")
        status, _, kind = tail.partition(" ")
        report.need("json" in kind, f"{verb} {path}: {status} {kind} {text[:200]} {done.stderr}")
        return int(status), json.loads(text)

    def ok(self, verb, path, body=None):
        status, answer = self(verb, path, body)
        report.need(status == 200, f"{verb} {path}: {status} {answer}")
        return answer

    def refused(self, verb, path, code, body=None, **more):
        status, answer = self(verb, path, body, **more)
        report.need(answer.get("code") == code and status == HTTP_OF[code] and answer.get("message") and "details" in answer,
                    f"{verb} {path}: {status} {answer}, expected code {code}")
        return answer["message"]


def nouns(curl, say, account):
    ns = f"web.{account}"
    with say.promise("a namespace: POST, GET, list, POST again (change), tags, DELETE"):
        made = curl.ok("POST", "/cloud/namespaces", {"spec": {"name": "web", "regions": ["local"], "retentionDays": 7, "apiKeyAuth": {"enabled": True}},
                                                      "asyncOperationId": "web-1"})
        report.need(made["namespace"] == ns and made["asyncOperation"]["id"] == "web-1" and made["asyncOperation"]["state"] == "STATE_FULFILLED", made)
        report.need(curl.ok("GET", "/cloud/operations/web-1")["asyncOperation"]["id"] == "web-1")
        got = curl.ok("GET", f"/cloud/namespaces/{ns}")["namespace"]
        report.need(got["spec"]["retentionDays"] == 7 and got["state"] == "RESOURCE_STATE_ACTIVE" and re.match(r"\d{4}-.*Z$", got["createdTime"]), got)
        report.need(ns in json.dumps(curl.ok("GET", "/cloud/namespaces?name=web")) and ns not in json.dumps(curl.ok("GET", "/cloud/namespaces?name=other")))
        report.need(curl.ok("GET", "/cloud/namespaces?pageSize=1")["nextPageToken"] and curl.ok("GET", "/cloud/namespaces?page_size=1")["nextPageToken"])
        got["spec"]["retentionDays"] = 8
        curl.ok("POST", f"/cloud/namespaces/{ns}", {"spec": got["spec"], "resourceVersion": got["resourceVersion"]})
        curl.refused("POST", f"/cloud/namespaces/{ns}", 9, {"spec": {**got["spec"], "retentionDays": 9}, "resourceVersion": got["resourceVersion"]})
        curl.ok("POST", f"/cloud/namespaces/{ns}/update-tags", {"tagsToUpsert": {"a": "b"}})
    with say.promise("a service account and its key: POST, GET, change, DELETE"):
        robot = curl.ok("POST", "/cloud/service-accounts", {"spec": {"name": "web", "access": {"accountAccess": {"role": "ROLE_READ"}}}})["serviceAccountId"]
        key = curl.ok("POST", "/cloud/api-keys", {"spec": {"ownerId": robot, "ownerType": "OWNER_TYPE_SERVICE_ACCOUNT", "displayName": "w",
                                                            "expiryTime": "2027-01-01T00:00:00Z"}})
        report.need(curl("GET", "/cloud/current-identity", None, key["token"])[1]["serviceAccount"]["id"] == robot)
        report.need(key["keyId"] in json.dumps(curl.ok("GET", f"/cloud/api-keys?ownerId={robot}&ownerType=OWNER_TYPE_SERVICE_ACCOUNT")))
        got = curl.ok("GET", f"/cloud/api-keys/{key['keyId']}")["apiKey"]
        report.need(got["spec"]["expiryTime"] == "2027-01-01T00:00:00Z", got)
        curl.ok("POST", f"/cloud/api-keys/{key['keyId']}", {"spec": {**got["spec"], "disabled": True}, "resourceVersion": got["resourceVersion"]})
        curl.refused("GET", "/cloud/current-identity", 16, key=key["token"])
        curl.ok("DELETE", f"/cloud/api-keys/{key['keyId']}")
        curl.ok("POST", f"/cloud/namespaces/{ns}/service-accounts/{robot}/access", {"access": {"permission": "PERMISSION_READ"}})
        report.need(robot in json.dumps(curl.ok("GET", f"/cloud/namespaces/{ns}/service-account-assignments")))
        curl.ok("DELETE", f"/cloud/service-accounts/{robot}")
    with say.promise("a user, a group with him as a member, a custom role: POST, GET, change, DELETE"):
        user = curl.ok("POST", "/cloud/users", {"spec": {"email": "web@example.com", "access": {"accountAccess": {"role": "ROLE_READ"}}}})["userId"]
        report.need(user in json.dumps(curl.ok("GET", "/cloud/users?email=web%40example.com")))
        group = curl.ok("POST", "/cloud/user-groups", {"spec": {"displayName": "web", "cloudGroup": {}, "access": {"accountAccess": {"role": "ROLE_READ"}}}})["groupId"]
        curl.ok("POST", f"/cloud/user-groups/{group}/members", {"memberId": {"userId": user}})
        report.need(user in json.dumps(curl.ok("GET", f"/cloud/user-groups/{group}/members")))
        curl.ok("POST", f"/cloud/user-groups/{group}/remove-member", {"memberId": {"userId": user}})
        curl.ok("POST", f"/cloud/namespaces/{ns}/user-groups/{group}/access", {"access": {"permission": "PERMISSION_WRITE"}})
        curl.ok("POST", f"/cloud/namespaces/{ns}/users/{user}/access", {"access": {"permission": "PERMISSION_WRITE"}})
        curl.ok("DELETE", f"/cloud/user-groups/{group}")
        curl.ok("DELETE", f"/cloud/users/{user}")
        role = curl.ok("POST", "/cloud/custom-roles", {"spec": {"name": "web", "permissions": [
            {"resources": {"resourceType": "account", "allowAll": True}, "actions": ["cloud.account.get"]}]}})["roleId"]
        curl.ok("GET", f"/cloud/custom-roles/{role}")
        curl.ok("DELETE", f"/cloud/custom-roles/{role}")
    with say.promise("DELETE of the namespace; then 404 with code 5"):
        version = curl.ok("GET", f"/cloud/namespaces/{ns}")["namespace"]["resourceVersion"]
        curl.ok("DELETE", f"/cloud/namespaces/{ns}?resourceVersion={version}")
        curl.refused("GET", f"/cloud/namespaces/{ns}", 5)


def every_path(curl, say):
    with say.promise("no credential and a wrong one are 401 with code 16 on every path, before a body is read"):
        for name, verb, template, body in rules():
            path = re.sub(r"\{[^}]*\}", "x", template)
            status, answer = curl(verb, path, "not json" if body else None, "wrong", "--http1.1")
            report.need(status == 401 and answer.get("code") == 16, f"{name} {verb} {path}: {status} {answer}")
    with say.promise(f"each of the {len(list(rules()))} paths of the descriptors is served"):
        for name, verb, template, body in rules():
            status, answer = curl(verb, re.sub(r"\{[^}]*\}", "x", template), {} if body else None)
            report.need(status == 200 or (HTTP_OF.get(answer.get("code")) == status and not re.search(r"unknown (method|service|path)|no such path|nothing at", answer["message"], re.I)),
                        f"{name} {verb} {template}: {status} {answer}")
    with say.promise("bad JSON, an unknown field and a wrong type are 400 with code 3; an unknown path is 404; a wrong verb is refused"):
        for body in ("{", '{"nothing": 1}', '{"spec": {"retentionDays": "many"}}', '{"spec": 7}'):
            curl.refused("POST", "/cloud/namespaces", 3, body)
        report.need(curl("GET", "/cloud/nothing")[0] == 404)
        report.need(curl("DELETE", "/cloud/account")[0] in (404, 405, 501))


def refused_over_http2(curl, say):
    with say.promise("a refused POST over HTTP/2 shows its 401, each of sixty times"):
        for _ in range(60):
            status, _ = curl("POST", "/cloud/namespaces", "not json", "wrong", "--http2")
            report.need(status == 401, status)


def main():
    sign = planes.Countersign()
    name = " ".join(subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout.split()[:2])
    say = report.Report(f"{name}, HTTP/JSON of the Cloud Ops API")
    curl = Curl(sign)
    # First, because it is a race that a server which has answered much seems to win more often.
    if sys.argv[1:] == ["all"]:
        refused_over_http2(curl, say)
    nouns(curl, say, sign.account)
    every_path(curl, say)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    report.end()
