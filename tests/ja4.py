#!/usr/bin/env python3
"""Compares the JA4 of `citronella inspect --eve` with one computed from tshark's fields by FoxIO's description.

usage: ja4.py CITRONELLA CAPTURE...

Every ClientHello over TCP that tshark reads must have a `tls` record with the same JA4 and the same packet number.
Exit code: 0 if all are equal (or tshark is not installed: then nothing is compared), 1 if one differs or none was
found, 2 for bad usage.
"""
import hashlib
import json
import shutil
import subprocess
import sys

FIELDS = [
    "frame.number", "tls.handshake.version", "tls.handshake.ciphersuite", "tls.handshake.extension.type",
    "tls.handshake.extensions.supported_version", "tls.handshake.sig_hash_alg",
    "tls.handshake.extensions_alpn_str", "tls.handshake.extensions_server_name",
]
VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}


def numbers(text):
    """Hexadecimal or decimal numbers without GREASE (RFC 8701)."""
    found = [int(word, 0) for word in text.split(",") if word]
    return [number for number in found if not (number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF)]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def ja4(version, ciphers, extensions, supported, signatures, alpn, name):
    """Technical description: https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md"""
    version = max(numbers(supported) or numbers(version))
    ciphers, extensions, signatures = numbers(ciphers), numbers(extensions), numbers(signatures)
    first = alpn.split(",")[0]
    first_and_last = "00" if not first else first[0] + first[-1]
    if first and not (first[0].isalnum() and first[-1].isalnum()):
        raw = first.encode().hex()
        first_and_last = raw[0] + raw[-1]
    head = f"t{VERSIONS.get(version, '00')}{'d' if 0 in extensions else 'i'}"
    head += f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{first_and_last}"
    listed = ",".join(sorted(f"{number:04x}" for number in extensions if number not in (0x0000, 0x0010)))
    tail = listed + ("_" + ",".join(f"{number:04x}" for number in signatures) if signatures else "")
    return f"{head}_{digest(','.join(sorted(f'{number:04x}' for number in ciphers)))}_{digest(tail)}"


def expected(tshark, capture):
    command = [tshark, "-n", "-r", capture, "-Y", "tcp && tls.handshake.type == 1", "-T", "fields", "-E", "separator=|"]
    command += [word for field in FIELDS for word in ("-e", field)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for line in lines:
        frame, *fields = line.split("|")
        yield int(frame), ja4(*fields)


def found(program, capture):
    command = [program, "inspect", "--eve", "-", "--eve-types", "tls", capture]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {record["pcap_cnt"]: record["tls"]["ja4"] for record in map(json.loads, lines)}


def main(program, captures):
    tshark = shutil.which("tshark")
    if not tshark:
        print("ja4.py: tshark is not installed: nothing was compared")
        return 0
    hellos = wrong = 0
    for capture in captures:
        ours = found(program, capture)
        for frame, theirs in expected(tshark, capture):
            hellos += 1
            if ours.get(frame) != theirs:
                wrong += 1
                print(f"{capture} frame {frame}: {ours.get(frame)} instead of {theirs}")
    print(f"{hellos} ClientHellos, {wrong} differ")
    return int(wrong > 0 or hellos == 0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
