"""A check before every call, for a gateway that asks (nginx `auth_request`, Envoy `ext_authz`).

`reading` makes an event of the headers, `holding` asks for its hold. What the gateway logs afterwards is
settled by `billing.access_log`; the door is `billing.api.gateway`.
"""
