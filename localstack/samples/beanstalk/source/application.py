"""Tells the time."""

from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer


def greeting(hour):
    return "Good morning" if hour < 12 else "Good afternoon"


class Clock(BaseHTTPRequestHandler):
    def do_GET(self):
        now = datetime.now(timezone.utc)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{greeting(now.hour)}, it is {now:%H:%M} UTC.\n".encode())


if __name__ == "__main__":
    HTTPServer(("", 8000), Clock).serve_forever()
