"""signed.py METHOD PATH [HEADER=VALUE…]: sends one signed request without a body to AWS_ENDPOINT_URL, over HTTP, and
prints the status and the headers of the answer. For what obj-mirror has no command for."""
import datetime, hashlib, hmac, http.client, os, sys, urllib.parse

method, target = sys.argv[1:3]
path, _, query = target.partition("?")
server = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc
time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
scope = f"{time[:8]}/{os.environ['AWS_REGION']}/s3/aws4_request"
nothing = hashlib.sha256(b"").hexdigest()
headers = {"host": server, "x-amz-content-sha256": nothing, "x-amz-date": time}
headers.update(header.split("=", 1) for header in sys.argv[3:])
names = ";".join(sorted(headers))
fields = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
canonical = "\n".join([method, path, "&".join(sorted(query.split("&"))), fields, names, nothing])
to_sign = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(canonical.encode()).hexdigest()])
key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
for part in scope.split("/"):
    key = hmac.new(key, part.encode(), "sha256").digest()
signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
                            f"SignedHeaders={names}, Signature={signature}")
connection = http.client.HTTPConnection(server, timeout=60)
connection.request(method, target, headers={**headers, "content-length": "0"})
answer = connection.getresponse()
answer.read()
print(answer.status)
for name, value in answer.getheaders():
    print(f"{name.lower()}: {value}")
