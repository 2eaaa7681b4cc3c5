"""A small web server on 127.0.0.1 for the tests of fetching: it serves a folder, and fails as it is told to."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Fault = Callable[[str, int], str | None]
"""(path, how often it was asked for before) -> a status, "stall", None, or some of these words:
truncate, cut, corrupt: half a file, half an answer, other bytes; drip: half an answer, and then silence
whole, blind: looks neither at Range, nor at If-Range; weak, unknown: a weak ETag, none
chunked, page, gzip: without a length; called a web page; called packed
"""


class HttpStore:
    """Serves `folder` at `url`; `asked` counts requests by path, `fault` says what goes wrong."""

    def __init__(self, folder: Path, fault: Fault | None = None) -> None:
        self.folder, self.fault = folder, fault
        self.asked: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.sent = 0
        self.busy = self.busiest = 0
        self.delay = 0.0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"store": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that went away
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def __enter__(self) -> HttpStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: HttpStore

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        with self.store.lock:
            self.store.busy += 1
            self.store.busiest = max(self.store.busiest, self.store.busy)
        try:
            self.answer(with_body=True)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with self.store.lock:
                self.store.busy -= 1

    def answer(self, *, with_body: bool) -> None:
        store, path = self.store, self.path.partition("?")[0].lstrip("/")
        with store.lock:
            before = store.asked[path]
            store.asked[path] += 1
        time.sleep(store.delay)
        fault = store.fault(path, before) if store.fault else None
        file = store.folder / path
        if fault is not None and fault.isdigit():
            return self.say(int(fault))
        if fault == "stall":
            store.closing.wait(60)
            self.close_connection = True
            return None
        if not file.is_file():
            return self.say(404)
        body, status = file.read_bytes(), 200
        headers = {"ETag": f'"{file.stat().st_mtime_ns:x}"'}
        words = set((fault or "").split())
        if "weak" in words:
            headers["ETag"] = "W/" + headers["ETag"]
        if "unknown" in words:
            del headers["ETag"]
        if "page" in words:
            headers["Content-Type"] = "text/html; charset=utf-8"
        if "gzip" in words:
            headers["Content-Encoding"] = "gzip"
        if "truncate" in words:  # a whole answer of half a file, as an interrupted upload leaves it
            body = body[: len(body) // 2]
        if "corrupt" in words:
            body = bytes(byte ^ 0x5A for byte in body)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range", headers.get("ETag"))
        same = "blind" in words or condition == headers.get("ETag")
        if wanted and same and "whole" not in words:
            store.ranges.append(path)
            first, last = wanted.groups()
            begin = int(first) if first else max(0, len(body) - int(last))
            end = min(int(last) + 1, len(body)) if first and last else len(body)
            if begin >= len(body):
                return self.say(416)
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(body)}"
            body, status = body[begin:end], 206
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        chunked = "chunked" in words
        self.send_header(*("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body))))
        self.end_headers()
        if "cut" in words or "drip" in words:  # the connection breaks in the middle, or nothing more comes
            body = body[: len(body) // 2]
            self.close_connection = True
        if with_body:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body) if chunked else body)
            with store.lock:
                store.sent += len(body)
            if "drip" in words:
                store.closing.wait(60)
            elif chunked and "cut" not in words:
                self.wfile.write(b"0\r\n\r\n")
        return None

    def say(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
