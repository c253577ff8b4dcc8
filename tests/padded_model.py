"""A model file made slower without another word: layers are added that leave everything as it is, as what they would
add comes through matrices of zeros. Beside it the file it was made from is a draft model that costs little and guesses
as it does, so that the machinery of drafts is tried with acceptance that is real.

    python -m tests.padded_model MODEL.gguf PADDED.gguf --layers 32
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter

_ZEROS = ("attn_output.weight", "ffn_down.weight", "ffn_down_exps.weight", "attn_output.bias", "ffn_down.bias")


def pad(source: Path, target: Path, n_more: int) -> Path:
    """Write `target`, which computes what `source` does with `n_more` layers in addition."""
    reader = GGUFReader(source)
    arch = str(reader.fields["general.architecture"].contents())
    n_layers = int(reader.fields[f"{arch}.block_count"].contents())
    writer = GGUFWriter(target, arch)
    for key, field in reader.fields.items():
        if key == "general.architecture" or key.startswith("GGUF."):
            continue
        value = n_layers + n_more if key == f"{arch}.block_count" else field.contents()
        kinds = field.types
        writer.add_key_value(key, value, kinds[0], kinds[-1] if kinds[0] == GGUFValueType.ARRAY else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for layer in range(n_layers, n_layers + n_more):
        for tensor in reader.tensors:
            if tensor.name.startswith("blk.0."):
                name = tensor.name.removeprefix("blk.0.")
                data = np.zeros_like(tensor.data) if name in _ZEROS else tensor.data
                writer.add_tensor(f"blk.{layer}.{name}", data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--layers", type=int, default=32, help="to be added")
    options = parser.parse_args()
    pad(options.source, options.target, options.layers)


if __name__ == "__main__":
    main()
