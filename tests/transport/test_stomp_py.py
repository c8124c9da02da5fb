"""What the transport relies on in stomp.py beyond its documented API; a release that changes it fails here."""

from __future__ import annotations

import inspect
import selectors

import stomp
from stomp import listener, transport, utils


def test_the_hooks_we_override_are_methods_of_its_transport() -> None:
    for hook, parameters in {
        "attempt_connection": ["self"],
        "receive": ["self"],
        "send": ["self", "encoded_frame"],
        "process_frame": ["self", "f", "frame_str"],
    }.items():
        assert list(inspect.signature(getattr(transport.Transport, hook)).parameters) == parameters


def test_its_io_loop_reads_through_receive_and_hands_frames_to_process_frame() -> None:
    source = inspect.getsource(transport.BaseTransport)
    assert "self.receive()" in source
    assert "self.process_frame(f, frame)" in source
    assert "while self.running" in source


def test_its_io_loop_has_frames_read_by_a_method_that_a_subclass_can_replace() -> None:
    source = inspect.getsource(transport.BaseTransport)
    assert "self.__read_frames()" in source
    assert "for frame in frames" in inspect.getsource(transport.BaseTransport._BaseTransport__read_frames)
    assert list(inspect.signature(transport.BaseTransport._BaseTransport__read).parameters) == ["self"]
    assert "self.__is_eol(frame)" in source
    assert transport.HEARTBEAT_FRAME.cmd == "heartbeat"


def test_a_new_transport_has_the_attributes_we_set_when_connecting() -> None:
    fresh = transport.Transport([("127.0.0.1", 1)])
    assert (fresh.socket, fresh.blocking, fresh.sel, fresh.send_queue, fresh.running) == (None, True, None, None, False)
    assert fresh.current_host_and_port is None
    assert fresh.vhost is None


def test_its_tls_queue_can_be_selected_on() -> None:
    queue = utils.PollableQueue()
    with selectors.DefaultSelector() as selector:
        selector.register(queue, selectors.EVENT_READ)
        queue.put(b"x")
        assert selector.select(timeout=5)
        assert queue.get() == b"x"
    queue.shutdown()


def test_its_heartbeat_watch_listens_to_heartbeats_and_to_connected() -> None:
    watch = listener.HeartbeatListener
    assert hasattr(watch, "on_heartbeat")
    assert hasattr(watch, "on_connected")
    parameters = inspect.signature(stomp.protocol.Protocol12.__init__).parameters
    assert list(parameters) == ["self", "transport", "heartbeats", "auto_content_length", "heart_beat_receive_scale"]


def test_parsed_frames_keep_bytes_and_the_first_of_repeated_headers() -> None:
    frame = utils.parse_frame(b"MESSAGE\na:1\na:2\nb:x\\cy\n\n\xff\x00")
    assert frame.headers == {"a": "1", "b": "x:y"}
    assert frame.body == b"\xff\x00"


def test_its_beats_are_written_through_send() -> None:
    assert "self.send(packed_frame)" in inspect.getsource(transport.BaseTransport.transmit)
