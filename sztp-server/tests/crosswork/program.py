"""Automates Crosswork ZTP as programs in the field do: Python's standard library only."""

import base64, csv, io, json, os, ssl, sys, urllib.error, urllib.parse, urllib.request

base, serial = os.environ["URL"], os.environ["SERIAL"]
context = ssl.create_default_context(cafile=os.environ["CACERT"])

def send(request):
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        return answer.read()

def form(path, fields):
    data = urllib.parse.urlencode(fields).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return send(urllib.request.Request(base + path, data=data, headers=kind)).decode()

try:
    form("/crosswork/sso/v1/tickets", {"username": "admin", "password": "wrong"})
    sys.exit("a wrong password opens")
except urllib.error.HTTPError as error:
    assert error.code == 401, error

ticket = form("/crosswork/sso/v1/tickets", {"username": "admin", "password": os.environ["PASSWORD"]})
token = form("/crosswork/sso/v1/tickets/" + ticket, {"service": base + "/app-dashboard"})
headers = {"Content-Type": "application/json", "Authorization": "Bearer " + token}

def call(path, payload, method="POST"):
    data = None if payload is None else json.dumps(payload).encode()
    request = urllib.request.Request(base + path, data=data, headers=headers, method=method)
    return json.loads(send(request))

ztp = "/crosswork/ztp/v1"

# Serial numbers and vouchers, before any device.
found = call(ztp + "/serialnumbers/query", {"filter": {"serialNumber": "*" + serial}})
assert found["code"] == 200 and "data" not in found, found
added = call(ztp + "/serialnumbers", {"data": [{"serialNumber": serial}]})
assert added == {"code": 201, "message": "Created Successfully", "processedRecordCount": 1}, added
again = call(ztp + "/serialnumbers", {"data": [{"serialNumber": serial}]})
assert again["duplicateRecordCount"] == 1, again
wanted = call(ztp + "/ovdata/export", {})
assert [entry["serial-number"] for entry in wanted["data"]] == [serial], wanted
assert base64.b64decode(wanted["data"][0]["pinned-domain-cert"])[0] == 0x30
voucher = base64.b64encode(open(os.environ["VOUCHER"], "rb").read()).decode()
loaded = call(ztp + "/ovs/import", {"b64Content": voucher, "fileName": serial + ".vcj", "isOverwrite": "false"})
assert loaded["code"] == 200 and loaded["processedRecordCount"] == 1, loaded
bad = call(ztp + "/ovs/import", {"b64Content": "AAAA", "fileName": "x.vcj"})
assert bad["code"] == 422 and "x.vcj" in bad["message"], bad
found = call(ztp + "/serialnumbers/query", {"filter": {"serialNumber": "*" + serial}})["data"][0]
assert (found["isOVLinked"], found["isInUse"]) == ("true", "false"), found

# A configuration with a variable, as a multipart form.
def upload(name, content, kind):
    boundary = "b0undary"
    body = ("--%s\r\nContent-Disposition: form-data; name=\"configFile\"; filename=\"%s.txt\"\r\n"
            "Content-Type: text/plain\r\n\r\n%s\r\n--%s--\r\n" % (boundary, name, content, boundary)).encode()
    query = urllib.parse.urlencode({"confname": name, "osname": "IOS XR", "version": "7.5.2",
        "devicefamily": "Cisco NCS 540", "user": "script", "type": kind})
    kinds = {"Content-Type": "multipart/form-data; boundary=" + boundary,
             "Authorization": "Bearer " + token}
    return json.loads(send(urllib.request.Request(
        base + "/crosswork/configsvc/v1/configs/upload?" + query, data=body, headers=kinds)))

conf = upload("ncs540-day0", "hostname {{ hname }}\n", "Day0-config")["confId"]
post = upload("ncs540-post", "#!/bin/bash\ncurl -u {{ serial_number }}:{{ crosswork.status_token }}\n", "Post-config")["confId"]
request = urllib.request.Request(base + "/crosswork/configsvc/v1/configs?confname=ncs540-day0", headers=headers)
assert json.loads(send(request))["content"][0]["confId"] == conf
variables = call(ztp + "/query/config", {"config": conf})
assert variables["configAttributes"] == {"hname": ""}, variables
request = urllib.request.Request(base + "/crosswork/imagesvc/v1/images?imageTitle=none", headers=headers)
assert json.loads(send(request))["content"] == []

# A profile.
profile = {"profileName": "ncs540", "profileDescription": "day 0", "profileCategory": "IOS XR",
    "osPlatform": "IOS XR", "deviceFamily": "Cisco NCS 540", "version": "7.5.2", "config": conf,
    "image": "", "isSecureZtp": "true", "preConfig": "", "postConfig": post}
made = call(ztp + "/profiles", {"profiles": [profile]})
assert made == {"code": 201, "message": "Profile Created Successfully"}, made
made = call(ztp + "/profiles", {"profiles": [profile]})
assert made["code"] == 400 and "already exist" in made["message"], made
missing = call(ztp + "/profiles", {"profiles": [dict(profile, profileName="x", config="none")]})
assert missing["code"] == 404, missing
profiles = call(ztp + "/profiles/query", {"filter": {"profileName": "ncs540"}})["ztpProfiles"]
assert profiles[0]["config"] == conf and profiles[0]["deviceFamily"] == "Cisco NCS 540", profiles

# An entry; all or nothing.
node = {"uuid": "", "hostName": "edge-44", "serialNumber": [serial], "isSecureZtp": "true",
    "macAddress": "", "ipAddress": {"ipaddrs": "192.0.2.44", "mask": 24}, "credentialProfile": "lab",
    "osPlatform": "IOS XR", "deviceFamily": "Cisco NCS 540", "profileName": "ncs540", "image": "",
    "config": "", "status": "Unprovisioned", "providerInfo": {"providerName": "nso"},
    "version": "7.5.2", "additionalAttributes": {"routingInfo.teRouterid": "10.0.0.44"},
    "configAttributes": {"hname": "edge-44"}, "connectivityDetails": [], "enableOption82": "false",
    "secureZtpInfo": {"configMode": "merge"}}
other = dict(node, serialNumber=["FOC-OTHER"], profileName="none", hostName="other")
refused = call(ztp + "/devices", {"nodes": [node, other]})
assert refused["code"] == 422 and json.loads(refused["message"])[0]["hostName"] == "other", refused
assert "ztpnodes" not in call(ztp + "/devices/query", {"filter": {"serialNumber": [serial]}})
added = call(ztp + "/devices", {"nodes": [node]})
assert added == {"code": 201, "message": "Device Added Successfully"}, added
twice = call(ztp + "/devices", {"nodes": [node]})
assert twice["code"] == 422 and "already exists" in twice["message"], twice
option = call(ztp + "/devices", {"nodes": [dict(node, serialNumber=["X"], enableOption82="true")]})
assert option["code"] == 422 and "enableOption82" in option["message"], option
nodes = call(ztp + "/devices/query", {"filter": {"serialNumber": [serial]}})["ztpnodes"]
found = nodes[0]
for name in ("hostName", "serialNumber", "credentialProfile", "profileName", "status",
             "providerInfo", "additionalAttributes", "configAttributes"):
    assert found[name] == node[name], (name, found)
assert found["ipAddress"] == {"inetAddressFamily": "IPV4", "ipaddrs": "192.0.2.44", "mask": 24}
assert call(ztp + "/devices/query", {})["code"] == 400
serials = call(ztp + "/serialnumbers/query", {"filter": {"serialNumber": serial}})["data"]
assert serials[0]["isInUse"] == "true", serials
kept = call(ztp + "/serialnumbers", {"data": [{"serialNumber": serial}]}, "DELETE")
assert kept["code"] == 400 and "in use" in kept["message"], kept

# Changed while it is Unprovisioned, and not by PATCH.
changed = call(ztp + "/devices", {"nodes": [dict(found, hostName="edge-45")]}, "PUT")
assert changed == {"code": 200, "message": "Device Updated Successfully"}, changed
assert call(ztp + "/devices", {"nodes": [found]}, "PATCH")["code"] == 422
assert call(ztp + "/devices", {"nodes": [dict(node, serialNumber=["NONE"])]}, "PUT")["code"] == 404

# Entries as CSV, there and back.
template = base64.b64decode(call(ztp + "/devices/csvtemplate", {})["b64Content"]).decode()
columns = next(csv.reader(io.StringIO(template)))
out = io.StringIO()
writer = csv.DictWriter(out, columns)
writer.writeheader()
for n in range(5):
    writer.writerow({"Serial Number": "CSV-%d" % n, "Host Name": "csv-%d" % n,
        "Profile Name": "ncs540", "Config Attributes": "hname=csv-%d" % n, "IP Address": "192.0.2.%d/24" % (100 + n),
        "Credential Profile": "lab", "Is Secure ZTP": "TRUE", "Provider Name": "nso"})
content = base64.b64encode(out.getvalue().encode()).decode()
dry = call(ztp + "/devices/import", {"b64Content": content, "isDryRun": True})
assert dry["code"] == 200, dry
assert call(ztp + "/devices/query", {"filter": {"serialNumber": "CSV-*"}}).get("ztpnodes") is None
assert call(ztp + "/devices/import", {"b64Content": content, "isDryRun": False})["code"] == 200
page = call(ztp + "/devices/query", {"filter": {"hostName": "csv-*"},
    "filterData": {"PageSize": 2, "PageNum": 1}})
assert [node["hostName"] for node in page["ztpnodes"]] == ["csv-2", "csv-3"], page
assert page["paginationDetails"] == {"PageSize": 2, "TotalCount": 5}, page
export = base64.b64decode(call(ztp + "/devices/export", {"filter": {}})["b64Content"]).decode()
rows = {row["Serial Number"]: row for row in csv.DictReader(io.StringIO(export))}
assert rows["CSV-3"]["Config Attributes"] == "hname=csv-3" and rows["CSV-3"]["Credential Profile"] == "lab", rows
count = call(ztp + "/query/count", {})["data"]
assert (count["deviceCount"], count["profileCount"]) == (6, 1), count
numbers = base64.b64encode(b"Serial Number\nNUM-1\nNUM-2\n").decode()
assert call(ztp + "/serialnumbers/import", {"b64Content": numbers})["processedRecordCount"] == 2

# A profile in use stays; what is not served says so.
assert call(ztp + "/profiles", {"profileName": "ncs540"}, "DELETE")["code"] == 424
assert call(ztp + "/profiles", {"profileName": "none"}, "DELETE")["code"] == 404
gone = call(ztp + "/devices", {"uuid": ["CSV-0"]}, "DELETE")
assert gone == {"code": 200}, gone
gone = call(ztp + "/devices", {"uuid": ["CSV-0"]}, "DELETE")
assert "does not exist" in gone["message"], gone
assert call(ztp + "/serialnumbers", {"data": [{"serialNumber": "NUM-1"}]}, "DELETE")["code"] == 204
early = call(ztp + "/onboarding", {"serialNumber": serial})
assert early["code"] == 409, early
assert call(ztp + "/staticroutes", {})["code"] == 404
print("all calls are served")
