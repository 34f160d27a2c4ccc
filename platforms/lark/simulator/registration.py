"""Making an app by a link: the three steps that `lark_oapi.scene.registration` takes on Lark's accounts server."""

from typing import Final, Literal

from aiohttp import web

from platforms.lark.simulator.api import Credentials

PATH: Final = "/oauth/v1/app/registration"
Consent = Literal["approved", "access_denied", "expired_token"]


class Registration:
    """Hands out the simulated app's credentials. `consent`: what the person who opens the link does with it."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.consent: Consent = "approved"
        self.brand = "lark"
        self._asked = 0

    async def answer(self, request: web.Request) -> web.Response:
        """`init`, `begin`, then `poll` until the person has decided: the first one still waits."""
        given = await request.post()
        match given.get("action"):
            case "init":
                return web.json_response({"nonce": "n1", "supported_auth_methods": ["client_secret"]})
            case "begin" if given.get("auth_method") == "client_secret" and given.get("archetype"):
                self._asked = 0
                link = f"http://{request.host}/page/launcher?user_code=K7F2-9QXM"
                return web.json_response(
                    {"device_code": "d1", "verification_uri_complete": link, "interval": 0, "expires_in": 600}
                )
            case "poll" if given.get("device_code") == "d1":
                return self._decided()
            case _:
                return web.json_response({"error": "invalid_request"}, status=400)

    def _decided(self) -> web.Response:
        self._asked += 1
        if self._asked == 1:
            return web.json_response({"error": "authorization_pending"}, status=400)
        if self.consent != "approved":
            return web.json_response({"error": self.consent, "error_description": "no"}, status=400)
        made = {"client_id": self.credentials.app_id, "client_secret": self.credentials.app_secret}
        return web.json_response({**made, "user_info": {"open_id": "ou_" + "0" * 32, "tenant_brand": self.brand}})
