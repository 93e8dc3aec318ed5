"""Hands the records of a zone file, as `sztp dns records` writes it, to avahi-daemon, and stays: they
are taken back when it ends."""

import re
import signal
import struct
import sys

import dbus

TYPES = {"TXT": 16, "SRV": 33}


def octets(quoted):
    """The octets of a character-string (RFC 1035 section 5.1)."""
    whole = re.findall(rb"\\(\d{3})|\\?(.)", quoted, re.DOTALL)
    return b"".join(bytes([int(number)]) if number else plain for number, plain in whole)


def wire(name):
    labels = [label for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def data(kind, rest):
    if kind == "SRV":
        priority, weight, port, target = rest.decode().split()
        return struct.pack(">HHH", int(priority), int(weight), int(port)) + wire(target)
    strings = [octets(one) for one in re.findall(rb'"((?:[^"\\]|\\.)*)"', rest, re.DOTALL)]
    return b"".join(bytes([len(one)]) + one for one in strings)


bus = dbus.SystemBus()
avahi = "org.freedesktop.Avahi"
server = dbus.Interface(bus.get_object(avahi, "/"), avahi + ".Server")
group = dbus.Interface(bus.get_object(avahi, server.EntryGroupNew()), avahi + ".EntryGroup")
# What begins with a blank goes on with the record before it.
for record in re.split(rb"\n(?=\S)", open(sys.argv[1], "rb").read().strip()):
    name, ttl, _, kind, rest = record.split(None, 4)
    kind = kind.decode()
    value = dbus.Array([dbus.Byte(octet) for octet in data(kind, rest)], signature="y")
    anywhere, no_flags, internet = dbus.Int32(-1), dbus.UInt32(0), dbus.UInt16(1)
    group.AddRecord(
        anywhere,
        anywhere,
        no_flags,
        name.decode().rstrip("."),
        internet,
        dbus.UInt16(TYPES[kind]),
        dbus.UInt32(int(ttl)),
        value,
    )
group.Commit()
print("published", flush=True)
signal.pause()
