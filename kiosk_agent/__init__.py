"""The kiosk agent: keypad, camera, screen and door of one kiosk, and its talk with the auth server.

`login(settings)` runs one login and returns a result that is true or false; `terminal_client(settings)`
shows a menu in the terminal until somebody has logged in or leaves:

    from kiosk_agent import login

    if result := login("/etc/4auth/kiosk.toml"):
        print(f"welcome, {result.username}")
"""

from kiosk_agent.one_login import LoginResult, login, terminal_client

__all__ = ["LoginResult", "login", "terminal_client"]
