"""A browser without a window, for the pages of the control plane: keeps cookies, follows redirects, fills in forms. No script runs in it."""
import html.parser
import http.cookiejar
import ssl
import urllib.error
import urllib.parse
import urllib.request


class _Forms(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms = []

    def handle_starttag(self, tag, attributes):
        at = dict(attributes)
        if tag == "form":
            self.forms.append({"action": at.get("action", ""), "method": at.get("method", "get").lower(), "fields": {}, "buttons": []})
        elif self.forms and tag == "input" and at.get("name"):
            self.forms[-1]["fields"][at["name"]] = at.get("value", "")
        elif self.forms and tag == "button" and at.get("name"):
            self.forms[-1]["buttons"].append((at["name"], at.get("value", "")))


class Browser:
    def __init__(self, ca_file):
        tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file))
        self.opener = urllib.request.build_opener(tls, urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.address, self.text = "", ""

    def _go(self, request):
        try:
            answer = self.opener.open(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        self.status, self.address = answer.status, answer.geturl()
        self.text = answer.read().decode()
        return self

    def open(self, address):
        return self._go(urllib.request.Request(urllib.parse.urljoin(self.address, address)))

    def forms(self):
        reader = _Forms()
        reader.feed(self.text)
        return reader.forms

    def submit(self, button=None, **fields):
        """Sends the form that has this button (`name=value`), or else the first one, with its own fields and these."""
        name, _, value = (button or "").partition("=")
        form = next((f for f in self.forms() if not button or (name, value) in f["buttons"]), None)
        if form is None:
            raise AssertionError(f"{self.address} ({self.status}) has no form with a button {button}: {self.text[:300]}")
        data = urllib.parse.urlencode({**form["fields"], **fields, **({name: value} if button else {})})
        target = urllib.parse.urljoin(self.address, form["action"] or self.address)
        if form["method"] == "get":
            return self.open(f"{target}?{data}")
        at = urllib.parse.urlsplit(target)
        return self._go(urllib.request.Request(target, data.encode(), {"Origin": f"{at.scheme}://{at.netloc}"}))


def signed_in(sign):
    """A browser that came in by the one-time address that `countersign dev` leaves in its `dev.env`."""
    browser = Browser(sign.ca_file).open(sign.env["COUNTERSIGN_LOGIN"])
    if "login" in urllib.parse.urlsplit(browser.address).path and browser.forms():
        browser.submit()
    return browser
