"""The terminal driver for Linux and macOS."""

from __future__ import annotations

import atexit
import errno
import os
import selectors
import signal
import sys
import termios
import threading
import tty
from codecs import getincrementaldecoder
from typing import TYPE_CHECKING, Any

from textual import constants, events
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size

from . import first_frame
from .driver import NonBlockingDriver, restore_terminal
from .tty_writer import TtySink

if TYPE_CHECKING:
    from textual.app import App

ALTERNATE = "\x1b[?1049h"
ENTER = (
    "\x1b[?25l"  # no cursor
    "\x1b[?1004h"  # report focus
    "\x1b[?2004h"  # bracketed paste
    "\x1b[?7l"  # no line wrap
    "\x1b[?2048$p"  # does it report resizes in band?
)
MOUSE_ON = "\x1b[?1000h\x1b[?1003h\x1b[?1015h\x1b[?1006h"
KEYS_ON = "\x1b[>25u"  # Kitty's keyboard protocol: disambiguate, all keys, associated text
ASK_SYNC = "\x1b[?2026$p"

LEAVE = (
    b"\x1b[?2026l"  # show what was held back
    b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"
    b"\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1004l\x1b[0m"
    b"\x1b[<u"  # before the alternate screen: each screen has its own keyboard modes
    b"\x1b[?1049l\x1b[?25h"
)

atexit.register(restore_terminal)


class TerminalDriver(NonBlockingDriver, LinuxDriver):
    """Textual's Linux driver with an output that never waits and an input that ends at EOF."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._handlers_found = {s: signal.getsignal(s) for s in (signal.SIGTSTP, signal.SIGCONT)}
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._active = False
        self._suspended = False
        self._input_ends = threading.Event()
        self._wake_read, self._wake_write = os.pipe()

    # -- size and signals ------------------------------------------------------------------

    def _get_terminal_size(self) -> tuple[int, int]:
        """Columns and rows of the terminal itself, also where standard output is redirected."""
        try:
            width, height = os.get_terminal_size(self.fileno)
        except OSError:
            return super()._get_terminal_size()
        return width or 80, height or 25

    def _send_size(self) -> None:
        size = Size(*self._get_terminal_size())
        self.send_message(events.Resize(size, size))

    def _on_winch(self, *_: object) -> None:
        if not self._in_band_window_resize:
            self._send_size()

    # A signal handler may interrupt anything, so its work is done on the loop.

    def _sigtstp_application(self, *_: object) -> None:
        self._on_loop(self._stop_for_shell)

    def _sigcont_application(self, *_: object) -> None:
        self._on_loop(self._go_on)

    def _stop_for_shell(self) -> None:
        if self._auto_restart and self._active:
            self.suspend_application_mode()
            self._must_signal_resume = True
        os.kill(os.getpid(), signal.SIGSTOP)

    def _go_on(self) -> None:
        if not self._auto_restart or self.terminal_lost is not None:
            return
        if self._active:
            # Stopped from outside without a chance to restore; the shell has changed the modes.
            self.suspend_application_mode()
        if self._suspended:
            self.resume_application_mode()

    # -- application mode ------------------------------------------------------------------

    def start_application_mode(self) -> None:
        """Take the terminal over; after a failure it is restored."""
        if self._active or not self._may_touch_terminal():
            return
        self._active, self._suspended = True, False
        try:
            self._start()
        except BaseException:
            self.stop_application_mode()
            self._end_output()
            raise

    def _start(self) -> None:
        signal.signal(signal.SIGWINCH, self._on_winch)
        output = self.fileno if self.input_tty or self._file is None else self._file.fileno()
        first = first_frame.take()
        if first is not None and not self.input_tty:
            self._begin_output(None, first.writer)
            self._note_loss("hung up while the program was loading")
            return
        if first is None:
            self._begin_output(TtySink(output))
            self._enter_raw_mode()
            self.write(ALTERNATE)
        else:
            self._begin_output(None, first.writer)
            self._enter_raw_mode(first.attributes)
        self.write(ENTER)
        if self._mouse:
            self.write(MOUSE_ON)
        if not constants.DISABLE_KITTY_KEY:
            self.write(KEYS_ON)
        # Apple's terminal prints a letter for this query instead of ignoring it.
        if self.input_tty and os.environ.get("TERM_PROGRAM") != "Apple_Terminal":
            self.write(ASK_SYNC)
        self._input_ends = threading.Event()
        self._key_thread = threading.Thread(
            target=self._run_input_thread, name="terminal-input", daemon=True
        )
        self._key_thread.start()
        self._send_size()
        if self._must_signal_resume:
            self._must_signal_resume = False
            self.send_message(self.SignalResume())

    def _may_touch_terminal(self) -> bool:
        """Whether this process is in the foreground; one in the background must not draw."""
        if not os.isatty(self.fileno):
            return True

        def stop_again(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGSTOP)

        found = {s: signal.signal(s, stop_again) for s in (signal.SIGTTOU, signal.SIGTTIN)}
        try:
            # Changes nothing, but is refused to a process in the background.
            attributes = termios.tcgetattr(self.fileno)
            termios.tcsetattr(self.fileno, termios.TCSANOW, attributes)
        except termios.error as error:
            if error.args[0] in (errno.EIO, errno.ENXIO, errno.ENOTTY, errno.ENODEV):
                self._note_loss(str(error.args[1]))
            return False
        finally:
            for signum, handler in found.items():
                signal.signal(signum, handler)
        return True

    def _enter_raw_mode(self, found: list[Any] | None = None) -> None:
        """``found`` are the modes to restore later, where they differ from the present ones."""
        try:
            self.attrs_before = found or termios.tcgetattr(self.fileno)
        except termios.error:
            self.attrs_before = None  # input is not a terminal: it has no modes
            return
        modes = [*self.attrs_before[:6], list(self.attrs_before[6])]
        modes[tty.LFLAG] = self._patch_lflag(modes[tty.LFLAG])
        modes[tty.IFLAG] = self._patch_iflag(modes[tty.IFLAG])
        # A read returns after one byte; in canonical mode this slot is another setting.
        modes[tty.CC][termios.VMIN] = 1
        self._set_modes(modes)

    def _set_modes(self, modes: list[Any]) -> None:
        # Blocked, because a process in the background would be stopped by this call.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            termios.tcsetattr(self.fileno, termios.TCSANOW, modes)
        except termios.error:
            pass  # the terminal is gone, the reader reports it
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def disable_input(self) -> None:
        """Stop reading keys and wait for the reader to end."""
        if self._key_thread is None:
            return
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        if self._mouse:
            self.write("\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l")
        self._input_ends.set()
        os.write(self._wake_write, b".")
        thread, self._key_thread = self._key_thread, None
        thread.join(1.0)
        try:
            termios.tcflush(self.fileno, termios.TCIFLUSH)
        except termios.error:
            pass  # the terminal is gone, or input is not a terminal

    def stop_application_mode(self) -> None:
        """Restore the terminal. One that reads nothing delays this by 0.4 s at most."""
        if self._active:
            self.disable_input()
            self._restore()

    def _restore(self) -> None:
        if not self._active:
            return
        self._active = False
        if self.attrs_before is not None:
            self._set_modes(self.attrs_before)
        if self._out is not None:
            self._out.finish(LEAVE)

    def suspend_application_mode(self) -> None:
        self.stop_application_mode()
        self._end_output()
        self._suspended = True

    def resume_application_mode(self) -> None:
        self.start_application_mode()
        if self._active:
            self._repaint()

    def close(self) -> None:
        """The screen has ended: restore the terminal and the signal handlers."""
        self.stop_application_mode()
        self._end_output()
        self._suspended = False
        for signum, handler in self._handlers_found.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._handlers_found = {}
        if self._wake_read >= 0:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_read = self._wake_write = -1

    # -- input -----------------------------------------------------------------------------

    def run_input_thread(self) -> None:
        """Turn bytes into events until ``disable_input``, or until the terminal is gone."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        ends = self._input_ends
        # poll has no limit on descriptors, but cannot watch a terminal on macOS.
        selector = (
            selectors.PollSelector() if sys.platform == "linux" else selectors.SelectSelector()
        )
        with selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while not ends.is_set():
                # The parser needs a tick to distinguish a lone Escape from a sequence; without
                # a half-read sequence the tick does nothing.
                ready = {key.fd for key, _ in selector.select(0.1)}
                if self._wake_read in ready:
                    os.read(self._wake_read, 64)
                if self.fileno in ready and not ends.is_set():
                    data = self._read()
                    if not data:
                        break
                    for message in parser.feed(decode(data)):
                        self.process_message(message)
                for message in parser.tick():
                    self.process_message(message)
        try:
            for _ in parser.feed(""):
                pass
        except (EOFError, ParseError):
            pass  # the parser ends in this way

    def _read(self) -> bytes:
        """Bytes from the terminal; empty at its end."""
        try:
            data = os.read(self.fileno, 4096)
        except OSError as error:
            self._note_loss(error.strerror or "read failed")
            return b""
        if not data and self.input_tty:
            self._note_loss("hung up")
        return data
