"""A mail client's address book as far as slapd sees it: simple bind and search (RFC 4511), on one connection, each search timed apart."""

import socket

# The searches that clients make of what is typed; their filters are fixed. As their sources and manuals have them.
CLIENTS = {
    "Thunderbird": "(|(cn=*%s*)(mail=*%s*)(givenName=*%s*)(sn=*%s*))",
    "Outlook": "(&(mail=*)(|(mail=%s*)(cn=%s*)(sn=%s*)(givenName=%s*)(displayName=%s*)))",
    "Apple Contacts": "(&(objectClass=inetOrgPerson)(|(givenName=*%s*)(sn=*%s*)(cn=*%s*)(mail=*%s*)))",
    "Evolution": "(&(mail=*)(|(cn=*%s*)(sn=*%s*)(givenName=*%s*)(displayName=*%s*)(mail=*%s*)))",
}


def client_filter(client, typed):
    return CLIENTS[client].replace("%s", typed)


def ber(tag, content):
    n = len(content)
    size = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + size + content


def number(tag, n):
    return ber(tag, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def parse_filter(text, at=0):
    """RFC 4515 without escapes: (filter as BER, where it ended)."""
    assert text[at] == "("
    if text[at + 1] in "&|":
        tag, at, parts = 0xa0 if text[at + 1] == "&" else 0xa1, at + 2, b""
        while text[at] == "(":
            part, at = parse_filter(text, at)
            parts += part
        return ber(tag, parts), at + 1
    end = text.index(")", at)
    attr, value = text[at + 1:end].split("=", 1)
    name = ber(4, attr.encode())
    if value == "*":
        return ber(0x87, attr.encode()), end + 1
    if "*" not in value:
        return ber(0xa3, name + ber(4, value.encode())), end + 1
    pieces = value.split("*")
    subs = b"".join(ber(0x80 if i == 0 else 0x82 if i == len(pieces) - 1 else 0x81, p.encode()) for i, p in enumerate(pieces) if p)
    return ber(0xa4, name + ber(0x30, subs)), end + 1


class Ldap:
    def __init__(self, port, dn, password):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.buffer, self.last = b"", 0
        self.send(0x60, number(2, 3) + ber(4, dn.encode()) + ber(0x80, password.encode()))
        tag, content = self.message()
        assert tag == 0x61 and content[2] == 0, content

    def send(self, tag, content):
        self.last += 1
        self.sock.sendall(ber(0x30, number(2, self.last) + ber(tag, content)))

    def take(self, n):
        while len(self.buffer) < n:
            more = self.sock.recv(65536)
            assert more
            self.buffer += more
        got, self.buffer = self.buffer[:n], self.buffer[n:]
        return got

    def message(self):
        def head(take):
            tag, n = take(2)
            return tag, int.from_bytes(take(n & 0x7f), "big") if n & 0x80 else n
        content = self.take(head(self.take)[1])
        content = content[2 + content[1]:]  # the id
        at = [0]

        def take(n):
            at[0] += n
            return content[at[0] - n:at[0]]
        tag, n = head(take)
        return tag, take(n)

    def search(self, base, text, limit=100, attrs=("cn", "mail", "displayName")):
        """(entries as BER, result code)"""
        self.send(0x63, ber(4, base.encode()) + number(10, 2) + number(10, 0) + number(2, limit) + number(2, 0) + ber(1, b"\0") +
                  parse_filter(text)[0] + ber(0x30, b"".join(ber(4, a.encode()) for a in attrs)))
        entries = []
        while True:
            tag, content = self.message()
            if tag == 0x65:
                return entries, content[2]
            entries.append(content)

    def close(self):
        self.sock.close()
