"""Prints the root of the fixture's first parameters, from the specification alone."""
import hashlib
import struct
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

def tagged(label, parts):
    h = hashlib.sha256(bytes([len(label)]) + label.encode())
    for p in parts:
        h.update(struct.pack('>I', len(p)) + p)
    return h.digest()

def expand(k, label, parts):
    info = bytes([len(label)]) + label.encode()
    info += b''.join(struct.pack('>H', len(p)) + p for p in parts)
    return HKDFExpand(hashes.SHA256(), 32, info).derive(k)

def stream(seed, label, index, words):
    k = expand(seed, "csa1/seed/stream", [label.encode(), struct.pack('>Q', index)])
    c = Cipher(algorithms.AES(k), modes.CTR(b'\0' * 12 + struct.pack('>I', 2))).encryptor()
    return [w / 2**32 for w in struct.unpack(f'<{words}I', c.update(b'\0' * 4 * words))]

f32 = lambda v: struct.unpack('<f', struct.pack('<f', v))[0]
T = [("encoder.weight", [3, 4], 0, (2, .5)), ("encoder.bias", [4], 0, (0, None)),
     ("energy", [3], 1, (3, .1)), ("head", [5], 2, (1, -4.)), ("encoder.scale", [2], 0, (1, 1.))]
c = bytes([4]) + hashlib.sha256(b'language = 1').digest() + struct.pack('>I', len(T))
for n, s, p, (k, v) in T:
    c += struct.pack('>I', len(n)) + n.encode() + struct.pack('>I', len(s))
    c += b''.join(struct.pack('>I', x) for x in s) + bytes([p, k])
    c += b'' if v is None else struct.pack('>f', v)
c += struct.pack('>Q', 11)
seed = tagged("csa1/lineage", [c])
flat = []
for i, (n, s, p, (k, v)) in enumerate(T):
    N = 1
    for x in s:
        N *= x
    u = stream(seed, "csa1/genesis", i, 12 * N)
    if k == 0: flat += [0.] * N
    if k == 1: flat += [v] * N
    if k == 2: flat += [(2 * x - 1) * f32(v) for x in u[:N]]
    if k == 3: flat += [(sum(u[12 * j:12 * j + 12], 0.) - 6) * f32(v) for j in range(N)]
b = b''.join(struct.pack('<f', v) for v in flat)
leaf = tagged("csa1/merkle-leaf", [tagged("csa1/chunk", [b])])
print(tagged("csa1/chunk-root", [struct.pack('>I', 1), leaf]).hex())
