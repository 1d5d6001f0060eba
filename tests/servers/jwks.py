"""An issuer of tokens: its keys' public halves on a real HTTP server that can go away and come back."""

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.door import claims

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def public_jwk(key: PrivateKey, key_id: str | None, **more: Any) -> dict[str, Any]:
    """The public half, as it stands in a key set."""
    made = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    fields: dict[str, Any] = json.loads(made.to_jwk(key.public_key()))
    return fields | ({"kid": key_id} if key_id else {}) | more


def signed(key: PrivateKey, key_id: str | None, **changes: Any) -> str:
    """A token of `claims`, signed with the key."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": key_id} if key_id else {})


class Issuer:
    """Serves `document` at `url` while it is up; `asked` counts how often it was fetched."""

    def __init__(self) -> None:
        self.document: object = {"keys": []}
        self.status = 200
        self.asked = 0
        self.holds: threading.Event | None = None
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/jwks.json"

    def publish(self, *keys: dict[str, Any]) -> None:
        self.document = {"keys": list(keys)}

    def start(self) -> None:
        """Listen, at the same port as before."""
        issuer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                if issuer.holds is not None:
                    issuer.holds.wait(30)
                body = issuer.document if isinstance(issuer.document, bytes) else json.dumps(issuer.document).encode()
                with suppress(OSError):
                    self.send_response(issuer.status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Answer)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
