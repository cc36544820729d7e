"""Writes the vectors beside this file, with libraries that the crate does not use.

Run it in an environment of its own, outside the repository:

    python3 -m venv ENV && ENV/bin/pip install cryptography==48.0.0 kyber-py==1.2.0
    ENV/bin/python crypto/vectors/make.py

hashlib and hmac make the digests and HKDF, `cryptography` (OpenSSL) makes AES, X25519, Ed25519 and
checks ML-KEM, kyber-py makes ML-KEM with chosen chance; Shamir and the edge cases of Ed25519 are
plain integers below. Nothing here is random: a second run changes no byte.
"""

import hashlib
import hmac
import json
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kyber_py.ml_kem import ML_KEM_768

HERE = pathlib.Path(__file__).parent


def write(name, value):
    (HERE / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n")


def sha256(data):
    return hashlib.sha256(data).digest()


def tagged(label, *parts):
    framed = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return sha256(bytes([len(label)]) + label.encode() + framed)


def expand(key, label, *parts, length=32):
    info = bytes([len(label)]) + label.encode()
    info += b"".join(struct.pack(">H", len(part)) + part for part in parts)
    output, block, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        output, counter = output + block, counter + 1
    return output[:length]


def seed_expand(seed, purpose, label, index, length=32):
    return expand(seed, purpose, label.encode(), struct.pack(">Q", index), length=length)


def seed_bytes(seed, label, index):
    return seed_expand(seed, "csa1/seed/bytes", label, index)


def aes_ctr(key, counter_block, length):
    return Cipher(algorithms.AES(key), modes.CTR(counter_block)).encryptor().update(bytes(length))


def tile(key, number, length=16384):
    return aes_ctr(key, number.to_bytes(12, "big") + struct.pack(">I", 2), length)


def pattern(length):
    """Bytes without a short period, to be made again by the tests."""
    return bytes((i * 7 + i // 251) % 256 for i in range(length))


# Digests -----------------------------------------------------------------------------------------


def merkle_levels(leaves):
    level = [tagged("csa1/merkle-leaf", leaf) for leaf in leaves]
    levels = [level]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [tagged("csa1/merkle-node", *p) if len(p) == 2 else p[0] for p in pairs]
        levels.append(level)
    return levels


def merkle_root(label, leaves):
    top = merkle_levels(leaves)[-1]
    return tagged(label, struct.pack(">I", len(leaves)), top[0] if top else b"")


def merkle_path(leaves, index):
    siblings = []
    for level in merkle_levels(leaves):
        siblings += level[index ^ 1 : (index ^ 1) + 1] if len(level) > 1 else []
        index //= 2
    return siblings


def chunk_root(data):
    chunks = [data[i : i + 65536] for i in range(0, len(data), 65536)]
    return merkle_root("csa1/chunk-root", [tagged("csa1/chunk", chunk) for chunk in chunks])


def digests():
    inputs = [[], [b""], [b"", b""], [b"ab", b"c"], [b"a", b"bc"], [pattern(1000)]]
    trees = []
    for count in range(10):
        leaves = [sha256(bytes([i])) for i in range(count)]
        trees.append(
            {
                "leaves": [leaf.hex() for leaf in leaves],
                "root": merkle_root("csa1/test-tree", leaves).hex(),
                "paths": [[s.hex() for s in merkle_path(leaves, i)] for i in range(count)],
            }
        )
    fields = bytes([9, 1]) + struct.pack(">HIQq", 2, 3, 4, -5) + struct.pack(">f", -1.5)
    fields += struct.pack(">I", 3) + b"abc" + b"xy" + sha256(b"") + struct.pack(">IHH", 2, 6, 7)
    return {
        "sha256": [{"parts": [p.hex() for p in i], "out": sha256(b"".join(i)).hex()} for i in inputs],
        "tagged": [
            {"label": label, "parts": [p.hex() for p in i], "out": tagged(label, *i).hex()}
            for label in ["csa1/a", "csa1/ab"]
            for i in inputs
        ],
        "trees": trees,
        "chunk_roots": [
            {"length": n, "out": chunk_root(pattern(n)).hex()}
            for n in [0, 1, 65535, 65536, 65537, 131072, 200000]
        ],
        "canonical": {"bytes": fields.hex(), "hash": tagged("csa1/test", fields).hex()},
    }


# Keys --------------------------------------------------------------------------------------------

CONTEXT = sha256(b"a round's context")
LABELS = {
    "csa1/chain": [],
    "csa1/ratchet": [],
    "csa1/pair-round": [CONTEXT],
    "csa1/escrow-box": [CONTEXT, b"\0\3"],
    "csa1/share": [CONTEXT, b"\0\1", b"\0\2", pattern(32)],
    "csa1/self-mask": [CONTEXT, b"\0\1"],
    "csa1/pair-mask": [pattern(32), pattern(64)[32:]],
    "csa1/empty-parts": [b"", b""],
    "csa1/long-part": [pattern(300)],
}


def keys():
    key = pattern(32)
    salt = sha256(b"salt")
    chain = expand(key, "csa1/chain")
    steps = {}
    for step in range(1001):
        if step in (0, 1, 2, 1000):
            steps[str(step)] = chain.hex()
        chain = expand(chain, "csa1/ratchet")
    scalar = int.from_bytes(seed_expand(key, "csa1/seed/scalar", "x", 3, 64), "little") % ORDER
    stream = seed_expand(key, "csa1/seed/stream", "x", 3)
    return {
        "key": key.hex(),
        "expand": [
            {"label": label, "parts": [p.hex() for p in parts], "out": expand(key, label, *parts).hex()}
            for label, parts in LABELS.items()
        ],
        "extract": {
            "salt": salt.hex(),
            "ikm": [pattern(n).hex() for n in (32, 1, 1184)],
            "out": hmac.digest(salt, pattern(32) + pattern(1) + pattern(1184), "sha256").hex(),
        },
        "commit": {"label": "csa1/cmt", "out": tagged("csa1/cmt", key)[:16].hex()},
        "chain": steps,
        "seed": {
            "label": "x",
            "index": 3,
            "bytes": seed_bytes(key, "x", 3).hex(),
            "child_bytes": seed_bytes(seed_expand(key, "csa1/seed/child", "x", 3), "x", 3).hex(),
            "forks_bytes": [
                seed_bytes(seed_expand(key, "csa1/seed/fork", "", i), "x", 3).hex() for i in range(2)
            ],
            "scalar": scalar.to_bytes(32, "little").hex(),
            "stream_sha256": sha256(tile(stream, 0) + tile(stream, 1) + tile(stream, 2, 100)).hex(),
        },
    }


def seals():
    cases = []
    for aad, plain in [(b"", b""), (b"ctx", b"x"), (pattern(40), pattern(64)), (b"", pattern(500))]:
        sealed = AESGCM(pattern(32)).encrypt(bytes(12), plain, aad)
        cases.append({"aad": aad.hex(), "plain": plain.hex(), "sealed": sealed.hex()})
    return {"key": pattern(32).hex(), "cases": cases}


def masks():
    key = pattern(32)
    return {
        "key": key.hex(),
        "tiles": [
            {
                "tile": number,
                "first": tile(key, number)[:64].hex(),
                "last": tile(key, number)[-16:].hex(),
                "sha256": sha256(tile(key, number)).hex(),
            }
            for number in [0, 1, 5, 2**33]
        ],
    }


# Ed25519 in integers -----------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def decode(data):
    """The point of an encoding, canonical or not, as RFC 8032 5.1.3 without its range checks."""
    number = int.from_bytes(data, "little")
    y, sign = number % 2**255 % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT % P
    if x * x % P != square:
        return None
    return (-x % P if x % 2 != sign else x), y


def encode(point):
    return (point[1] | (point[0] % 2) << 255).to_bytes(32, "little")


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P


def times(scalar, point):
    total = (0, 1)
    while scalar:
        total = add(total, point) if scalar & 1 else total
        point, scalar = add(point, point), scalar >> 1
    return total


BASE = decode(((4 * pow(5, -1, P)) % P).to_bytes(32, "little"))


def torsion():
    """The eight points of small order."""
    number = 0
    while True:
        point = decode(number.to_bytes(32, "little"))
        point = point and times(ORDER, point)
        if point and times(4, point) != (0, 1):
            return [times(k, point) for k in range(8)]
        number += 1


def challenge(commitment, key, message):
    digest = hashlib.sha512(commitment + key + message).digest()
    return int.from_bytes(digest, "little") % ORDER


def encodings(point):
    """Every encoding that decodes to the point: the canonical one first."""
    y = point[1]
    found = [encode(point)]
    for low in [y] + ([y + P] if y + P < 2**255 else []):
        for sign in (0, 1):
            data = (low | sign << 255).to_bytes(32, "little")
            if decode(data) == point and data not in found:
                found.append(data)
    return found


def small_key_cases(points):
    """Signatures that satisfy S B = R + k A for a key of small order, under any message's hash."""
    cases = []
    response = 12345
    for point in points:
        for key in encodings(point):
            shift = times(3, point)
            commitment = encode(add(times(response, BASE), times(7, shift)))
            for attempt in range(1000):
                message = struct.pack(">I", attempt)
                k = challenge(commitment, key, message)
                if times(k % 8, point) == shift:
                    break
            else:
                raise AssertionError("no message found")
            assert add(decode(commitment), times(k, decode(key))) == times(response, BASE)
            cases.append((key, message, commitment + response.to_bytes(32, "little")))
    return cases


# Table 6 of "Taming the many EdDSAs" (ePrint 2020/1244): message, key, signature, verdict of strict
# verification. Only the fourth, with key and commitment of mixed order, passes.
TAMING = """
8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6
c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa
c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000
9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79
c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa
f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04
aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab
f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43
c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e
9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79
cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d
9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009
e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c
cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d
160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09
e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c
cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d
21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405
85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40
442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623
e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514
85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40
442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623
8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22
9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41
f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f
9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41
f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908
e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04
39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04
""".split()

# RFC 8032, section 7.1: secret, public, message, signature.
RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def signatures():
    points = torsion()
    signer = ed25519.Ed25519PrivateKey.from_private_bytes(pattern(32))
    public = signer.public_key().public_bytes_raw()
    cases = []

    def case(why, key, message, signature, passes):
        cases.append(
            {
                "why": why,
                "key": key.hex(),
                "message": message.hex(),
                "signature": signature.hex(),
                "passes": passes,
            }
        )

    for i in range(0, len(TAMING), 3):
        message, key, signature = (bytes.fromhex(text) for text in TAMING[i : i + 3])
        case(f"Taming the many EdDSAs, {i // 3}", key, message, signature, i // 3 == 3)
    for key, message, signature in small_key_cases(points):
        case("key of small order", key, message, signature, False)
    # A commitment of small order under an honest key: S = k a satisfies the equation for R = 0.
    head = bytearray(hashlib.sha512(pattern(32)).digest()[:32])
    head[0] &= 248
    head[31] = head[31] & 127 | 64
    secret = int.from_bytes(head, "little") % ORDER
    for commitment in encodings((0, 1)):
        response = challenge(commitment, public, b"m") * secret % ORDER
        signature = commitment + response.to_bytes(32, "little")
        case("commitment of small order", public, b"m", signature, False)
    honest = signer.sign(b"m")
    case("honest", public, b"m", honest, True)
    response = int.from_bytes(honest[32:], "little")
    for multiple in range(1, 16):
        if response + multiple * ORDER < 2**256:
            signature = honest[:32] + (response + multiple * ORDER).to_bytes(32, "little")
            case("S at or above the order", public, b"m", signature, False)

    sound = [{"point": encode(times(k, BASE)).hex(), "sound": True} for k in (1, 2, 3, ORDER - 1)]
    sound += [{"point": e.hex(), "sound": False} for point in points for e in encodings(point)]
    for y in range(19):
        for sign in (0, 1):
            point = decode((y | sign << 255).to_bytes(32, "little"))
            wide = (y + P | sign << 255).to_bytes(32, "little")
            sound.append({"point": wide.hex(), "sound": False})
            if point and point[0] and point not in points:
                sound.append({"point": encode(point).hex(), "sound": True})

    framed = []
    for kind, body in [("ack", b""), ("escrow", b"body"), ("manifest", pattern(300))]:
        message = b"csa1/sig/" + kind.encode() + b"\0" + sha256(body)
        signature = signer.sign(message).hex()
        framed.append({"kind": kind, "body": body.hex(), "signature": signature})
    return {
        "seed": pattern(32).hex(),
        "public": public.hex(),
        "framed": framed,
        "rfc8032": [dict(zip(["seed", "public", "message", "signature"], row)) for row in RFC8032],
        "cases": cases,
        "points": sound,
    }


# Agreement ---------------------------------------------------------------------------------------

# The u-coordinates whose multiples by the cofactor are zero, and their encodings above the prime.
LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P - 1,
    P,
    P + 1,
]


# RFC 7748, sections 5.2 and 6.1: scalar, u-coordinate, product.
RFC7748 = [
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
    (
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    ),
]


def ladder(scalar, u):
    """RFC 7748, section 5, in integers."""
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    x1, x2, z2, x3, z3 = u % 2**255 % P, 1, 0, u % 2**255 % P, 1
    for bit in reversed(range(255)):
        if k >> bit & 1:
            x2, x3, z2, z3 = x3, x2, z3, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        e, da, cb = a * a - b * b, d * a, c * b
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = a * a * b * b % P, e * (a * a + 121665 * e) % P
        if k >> bit & 1:
            x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


class Member:
    def __init__(self, seed):
        self.x_secret = seed_bytes(seed, "agreement/x25519", 0)
        self.x = x25519.X25519PrivateKey.from_private_bytes(self.x_secret)
        self.x_public = self.x.public_key().public_bytes_raw()
        d, z = seed_bytes(seed, "agreement/mlkem", 0), seed_bytes(seed, "agreement/mlkem", 1)
        self.ek, self.dk = ML_KEM_768._keygen_internal(d, z)
        self.openssl = mlkem.MLKEM768PrivateKey.from_seed_bytes(d + z)
        assert self.openssl.public_key().public_bytes_raw() == self.ek


def agreement():
    lower, upper = Member(pattern(32)), Member(pattern(64)[32:])
    chance = pattern(96)[64:]
    message = expand(
        seed_bytes(chance, "agreement/encapsulate", 0),
        "csa1/mlkem-message",
        tagged("csa1/mlkem-key", upper.ek),
    )
    secret, ciphertext = ML_KEM_768._encaps_internal(upper.ek, message)
    assert upper.openssl.decapsulate(ciphertext) == secret
    forged = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    rejected = ML_KEM_768.decaps(upper.dk, forged)
    assert upper.openssl.decapsulate(forged) == rejected != secret
    salt = tagged("csa1/salt", sha256(b"roster"), struct.pack(">Q", 7))
    dh = lower.x.exchange(upper.x.public_key())
    assert dh == ladder(upper.x_secret, int.from_bytes(lower.x_public, "little"))
    ikm = secret + dh + ciphertext + upper.ek + lower.x_public + upper.x_public
    low = [n.to_bytes(32, "little") for n in LOW_ORDER]
    low += [(n | 1 << 255).to_bytes(32, "little") for n in LOW_ORDER]
    assert all(ladder(pattern(32), int.from_bytes(n, "little")) == bytes(32) for n in low)
    published = [dict(zip(["scalar", "u", "out"], row)) for row in RFC7748]
    for row in published:
        scalar, u = bytes.fromhex(row["scalar"]), bytes.fromhex(row["u"])
        assert ladder(scalar, int.from_bytes(u, "little")).hex() == row["out"]
    return {
        "lower": {"seed": pattern(32).hex(), "x25519": lower.x_public.hex(), "mlkem": lower.ek.hex()},
        "upper": {
            "seed": pattern(64)[32:].hex(),
            "x25519": upper.x_public.hex(),
            "mlkem": upper.ek.hex(),
        },
        "chance": chance.hex(),
        "ciphertext": ciphertext.hex(),
        "secret": secret.hex(),
        "rejected_secret": rejected.hex(),
        "roster_root": sha256(b"roster").hex(),
        "epoch": 7,
        "pair_key": hmac.digest(salt, ikm, "sha256").hex(),
        "rfc7748": published,
        "low_order": [n.hex() for n in low],
    }


# Shamir ------------------------------------------------------------------------------------------


def shamir():
    cases = []
    for threshold, count in [(1, 1), (1, 3), (2, 3), (4, 5), (7, 10), (67, 100)]:
        seed = sha256(struct.pack(">HH", threshold, count))
        secret = int.from_bytes(sha256(seed), "little") % ORDER
        chance = expand(seed, "csa1/shamir", secret.to_bytes(32, "little"))
        polynomial = [secret] + [
            int.from_bytes(seed_expand(chance, "csa1/seed/scalar", "coefficient", k, 64), "little")
            % ORDER
            for k in range(1, threshold)
        ]
        shares = [
            sum(c * pow(x, k, ORDER) for k, c in enumerate(polynomial)) % ORDER
            for x in range(1, count + 1)
        ]
        cases.append(
            {
                "threshold": threshold,
                "count": count,
                "seed": seed.hex(),
                "secret": secret.to_bytes(32, "little").hex(),
                "shares": [share.to_bytes(32, "little").hex() for share in shares],
            }
        )
    # A polynomial given outright, its shares far apart and out of order.
    abscissae = [65535, 1, 40000, 300, 2]
    polynomial = [5, 0, ORDER - 1, 0, 2**200]
    shares = [sum(c * pow(x, k) for k, c in enumerate(polynomial)) % ORDER for x in abscissae]
    sparse = {
        "abscissae": abscissae,
        "shares": [share.to_bytes(32, "little").hex() for share in shares],
        "secret": polynomial[0].to_bytes(32, "little").hex(),
    }
    return {
        "cases": cases,
        "sparse": sparse,
        "not_canonical": [n.to_bytes(32, "little").hex() for n in (ORDER, ORDER + 1, 2**256 - 1)],
        "largest": (ORDER - 1).to_bytes(32, "little").hex(),
    }


write("digest", digests())
write("kdf", keys())
write("seal", seals())
write("mask", masks())
write("sign", signatures())
write("agreement", agreement())
write("shamir", shamir())
