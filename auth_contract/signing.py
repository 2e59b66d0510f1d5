"""What a kiosk's request signature covers (RFC 9421), said once for both sides.

The body is covered through Content-Digest (RFC 9530, sha-256), so the server can check the
signature before it reads a body. `created` and `nonce` are parameters of the signature: a
submission carries its attempt's nonce, every other request a fresh one.
"""

LABEL = "kiosk"
TAG = "4auth-v1"
COVERED_COMPONENTS = ("@method", "@path", "content-type", "content-digest")
CONTENT_TYPE = "application/json"
