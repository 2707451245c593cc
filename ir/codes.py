"""The catalogue of diagnostic codes: what ``spikec explain CODE`` prints.

E01 reading a model · E02 the graph · E03 what a target lacks or limits · E04 quantisation ·
E05 time · E06 environment and tools · E07 stimuli, artefacts and output · E08 devices and
simulation · E09 exploration · E10 PyNN scripts · E11 PyNN programs · E12 Lava programs · E13
crossbars · E14 superconducting circuits. W is the same for warnings, N for notes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A title, the long form, and whether only the environment is at fault."""

    title: str
    explanation: str
    environment: bool = False


CODES: dict[str, Code] = {
    # -- E01: reading a model -----------------------------------------------------------------
    "E0101": Code(
        "the file cannot be read as HDF5",
        "A NIR or Lava-DL file is an HDF5 file. This one is missing, truncated (an interrupted "
        "download or copy), or of another kind. Copy it again, and compare its size with the "
        "original.",
    ),
    "E0102": Code(
        "the file is HDF5 but holds no network",
        "A NIR file has a group 'node' of type NIRGraph with 'nodes' and 'edges', a Lava-DL file a "
        "group 'layer' with groups named 0, 1, 2 and so on. Something of that is missing, so there "
        "is no network to read.",
    ),
    "E0103": Code(
        "unknown node type",
        "NIR knows 18 leaf node types and NIRGraph. A file with another type was written by a "
        "newer or a private extension. Replace the node before exporting.",
    ),
    "E0104": Code(
        "a node lacks a field",
        "Every node type has fields without which its equation is undefined. The message names "
        "the node and the field.",
    ),
    "E0105": Code(
        "shapes do not fit",
        "The shape that leaves one node is not the shape the next one takes, and no exact repair "
        "(a dropped batch axis of one, a scalar broadcast) makes them fit.",
    ),
    "E0106": Code(
        "a value is not a finite number",
        "Weights and neuron parameters must be finite: one NaN silences or saturates a whole "
        "population. Training has probably diverged; look at the loss before exporting.",
    ),
    "E0107": Code(
        "a parameter is out of its range",
        "Time constants must be positive, strides and kernels at least one, thresholds must be "
        "above the reset. The equation of the node has no meaning otherwise.",
    ),
    "E0108": Code(
        "the step does not suit the time constants",
        "A step dt must be shorter than every time constant, or the forward Euler decay 1 - dt/tau "
        "is negative. The usual cause is a unit: NIR stores neither dt nor the unit of tau. Give "
        "--dt, and --time-unit ms or steps when the file does not hold seconds.",
    ),
    "E0109": Code(
        "the step dt is unknown",
        "A NIR file does not hold its time step, and this dialect has no usual one. Give --dt.",
    ),
    "E0110": Code(
        "the graph text is malformed",
        "The canonical text of a graph is written by 'spikec compile' and '--dump-after'. The "
        "message names the line; compile the model again if the file was edited by hand.",
    ),
    "E0111": Code(
        "a loop of connections without a neuron in it",
        "A cycle that passes through no population has no state and no delay: its value would "
        "depend on itself in the same step.",
    ),
    "E0112": Code(
        "an edge names a node that does not exist",
        "Edges are pairs of node names. This one names a node that is not in the file.",
    ),
    "E0113": Code(
        "the network is absurdly large",
        "A declared size is beyond anything that could be held in memory, which usually means a "
        "damaged or hostile file. Nothing was allocated.",
    ),
    "E0114": Code(
        "unknown dialect or semantics",
        "A dialect is a named set of step semantics; 'spikec show --dialects' lists them.",
    ),
    "E0115": Code(
        "too many paths between two populations",
        "Linear nodes between two populations form so many paths that expanding them would be "
        "slower than the network itself. Put a population between, or merge the linear nodes.",
    ),
    "E0116": Code(
        "the model cannot be opened",
        "The path does not exist, is a folder, or may not be read.",
    ),
    "E0117": Code(
        "the file points outside itself",
        "A model file may hold only its own data. Soft links, external links, external storage, "
        "virtual data sets and groups that contain themselves are refused: they could read other "
        "files of this machine, or never end.",
    ),
    "E0118": Code(
        "an edge does not say which input or output it means",
        "The edge joins a nested graph with several inputs or outputs. Name one of them: "
        "'graph.input' instead of 'graph'.",
    ),
    "E0119": Code(
        "the format cannot hold this",
        "NIR has no node for what the message names, and no combination of its nodes means the "
        "same. Write the graph's own text instead, or change the network.",
    ),
    "W0120": Code(
        "a shape was repaired",
        "The file breaks a rule of the format in a way with one exact reading (a leading batch "
        "axis of one, a scalar that stands for a vector, a Flatten that counts the batch). It was "
        "read that way.",
    ),
    "W0121": Code(
        "v_reset is absent",
        "Files written before nir 1.0.6 do not store v_reset: they may mean reset to zero or "
        "subtract. The dialect decides; compare with 'spikec compare --dialects'.",
    ),
    "W0122": Code(
        "a nested graph is unusual",
        "The nested graph was flattened; nodes keep their names with dots.",
    ),
    "W0123": Code(
        "an edge stands in the file twice",
        "Edges are a set: the second one has no effect. nir 1.0.8 refuses such a file when it "
        "checks types; older readers drop the second edge or add it twice.",
    ),
    "W0124": Code(
        "a node is connected to nothing",
        "It has no path from an input or none to an output. It was kept; 'legalise' removes it.",
    ),
    "W0125": Code(
        "the dialect was guessed",
        "No --dialect was given. The guess rests on marks in the file (node names, the writer's "
        "version); check it with 'spikec compare --dialects'.",
    ),
    "W0126": Code(
        "a bias is missing",
        "An Affine node holds no bias of the expected shape; it was read as zero.",
    ),
    "W0127": Code(
        "dt is large against a time constant",
        "With dt/tau above one half the discrete step is far from the continuous model. It is "
        "simulated as given; check the unit of tau if you did not mean it.",
    ),
    "W0128": Code(
        "a parameter is unusual",
        "The value is legal but rarely meant. The message says which and why.",
    ),
    "W0129": Code(
        "the file is newer than this reader",
        "It was written by a nir release after 1.0.8. It was read by the rules of 1.0.8.",
    ),
    "N0130": Code("how the file was read", "The dialect, dt and time unit in use."),
    "N0135": Code(
        "what the written file leaves to its reader",
        "NIR holds neither dt nor the rules of a step. The options in the message read the file "
        "back as it was; spikec also leaves them in the metadata, for itself.",
    ),
    "W0131": Code(
        "an input or output was added",
        "A node without a predecessor or a successor got an input or output of its own, as the "
        "reference reader does.",
    ),
    "W0132": Code(
        "a delay is not a whole number of steps",
        "Delays were rounded to the nearest step. Choose a dt that divides them to keep them.",
    ),
    "W0133": Code(
        "the format does not hold everything",
        "NIR stores neurons, weights and edges. The message says what else the graph held, and "
        "what becomes of it when the file is read.",
    ),
    "W0134": Code(
        "a field was ignored",
        "The node has a field that its type does not define. NIR readers may refuse it; here it "
        "has no effect.",
    ),
    "E0136": Code(
        "a layer or neuron of Lava-DL that is not read",
        "What the message names has no counterpart among Loihi's LIF neurons with one stage of "
        "weights between two of them. docs/lavadl.md lists what is read.",
    ),
    "N0137": Code(
        "what the input of a Lava-DL network takes",
        "Its first layer turns numbers into spikes, by weight * x + bias in every step. A stimulus "
        "holds counts, so that it has weight * x + |weight|, rounded, in every step, for x from -1 "
        "to 1, and the bias in the graph is less by |weight|.",
    ),
    "W0138": Code(
        "weights of the file are cut",
        "Loihi's weights have 8 bits, one a sign where a layer has both. Odd weights beyond "
        "127 lose their last bit then, toward minus infinity, as on the chip.",
    ),
    # -- E02: the graph ---------------------------------------------------------------------
    "E0201": Code(
        "a name is used twice",
        "Inputs and populations share one name space.",
    ),
    "E0202": Code(
        "a projection names a node that does not exist",
        "Pre must be an input or a population, post a population.",
    ),
    "E0203": Code(
        "a projection does not fit its populations",
        "The connection's input must have the size of pre, its output that of post.",
    ),
    "E0204": Code(
        "a loop without delay",
        "Every loop of populations needs at least one step of delay (or a registered population), "
        "or a spike would depend on itself in the same step.",
    ),
    "E0205": Code(
        "a value is out of range", "The verifier names the node, the field and the rule."
    ),
    "E0206": Code("an output or probe names no population", "Outputs read populations."),
    "E0207": Code(
        "a parameter has the wrong shape",
        "Parameters have shape () or the shape of their population.",
    ),
    "E0208": Code(
        "this connection cannot learn",
        "A plastic synapse has a weight of its own, and a row and a column in which it is found "
        "once: Dense, Sparse with ascending rows, or OneToOne with a weight each, and nothing but "
        "a Flatten around it. The kernel of a convolution is shared by many pairs of neurons, "
        "which a rule would pull in different directions; behind a pool the pre neuron is unknown. "
        "Unroll a small convolution to Sparse, and write delays on the projection.",
    ),
    "E0209": Code(
        "a plasticity rule is out of range",
        "Traces of the rules that hardware has have 1 to 16 bits, amplitudes and offsets 16, "
        "shifts reach 31, seeds are not zero, and w_min is not above w_max: what the integer rung "
        "and the hardware compute without overflow. What comes from a rule in real numbers has "
        "traces of 36 bits, 28 where amplitudes depend on the weight, and shifts of 60. A target "
        "to which weights are scaled is one that they can reach. The message has the number and "
        "its range.",
    ),
    "E0210": Code(
        "plastic weights do not suit their rails",
        "Every enabled weight lies within w_min to w_max from the start. An integer rule moves "
        "weights by whole units, so weights and rails are whole numbers, and in a quantised "
        "network the rails fit the format of the weights.",
    ),
    "E0211": Code(
        "a receptor is malformed or missing",
        "Point neurons have receptors: named ports, each with its kernel, its time constant and, "
        "for a conductance, its reversal potential. A projection into them names the port where "
        "it ends, or 'current' for a current that lasts one step. A population with one sum for "
        "all its input has no ports.",
    ),
    "E0215": Code(
        "a rule reads a node that does not fit",
        "A rule with a third factor names the inputs or populations whose emission it reads: a "
        "modulator or gate has the size 1 or that of the post population, a Hebbian factor exactly "
        "that of the pre node or the post population.",
    ),
    "E0216": Code(
        "tied weights do not fit",
        "A tied projection has the synapses of the one it names, turned round where the tie "
        "transposes, and from the start the same weights times its scale. It has no rule of its "
        "own, and the one it names is not tied itself.",
    ),
    # -- E03: what a target lacks or limits -----------------------------------------------------
    "E0301": Code(
        "the target lacks a neuron model or a rule of its step",
        "The message names the population, what it asks for and what the target has. Where a "
        "close relative exists it is named too; nothing is approximated silently.",
    ),
    "E0302": Code(
        "the network does not fit the target",
        "A limit of the target is exceeded. The message has the limit, its source, the excess, "
        "and what to change.",
    ),
    "E0303": Code(
        "the target cannot carry graded values",
        "Digital spiking cores send spikes. A LI population or a relay in the middle of the "
        "network sends real values.",
    ),
    "E0304": Code("unknown target", "The command 'spikec targets' lists what there is."),
    "E0305": Code("a board description is malformed", "The message names the file and the field."),
    "E0306": Code(
        "the target has no such rung",
        "A rung is one form of the network: golden, integer, rtl. 'spikec targets' says which a "
        "target offers.",
    ),
    "E0307": Code(
        "a delay is out of the target's range",
        "Delays are steps; the target stores a limited number of pages of pending input.",
    ),
    "E0308": Code(
        "the target does not learn",
        "A target has the plasticity rules that its hardware or its cores implement. To deploy "
        "what was learned elsewhere, write the learned weights into the graph and leave the "
        "plasticity out.",
    ),
    "E0310": Code(
        "the network cannot be split over so many cores",
        "A core holds whole groups of as many neurons as it has lanes, and at least one. The "
        "message has the number of groups; fewer lanes make more of them.",
    ),
    "E0311": Code(
        "no core is as fast as wanted",
        "Cores that fit the device take more cycles in a step than --cycles or --step-time allow. "
        "The message has the fastest one and by how much it is too slow. Cycles are those of a "
        "step in which a share of all sources spike (--activity).",
    ),
    "E0315": Code(
        "a router has more routing entries than it holds",
        "A router finds the links of a packet in a table of keys and masks. Each core has a block "
        "of keys for each set of target cores that its neurons have; entries that agree are merged "
        "as far as that changes no packet's way, and packets that go straight on need none. Fewer "
        "routes make fewer entries: neurons of a core that share one route, or like targets "
        "together in a core. More chips spread the routes.",
    ),
    "E0316": Code(
        "there are not enough keys",
        "A packet carries 32 bits, and each core has an aligned power of two of them for each of "
        "its routes.",
    ),
    "E0320": Code(
        "the mapping breaks a limit",
        "The checker counts everything that the mapped network takes again, from its synapses, and "
        "found more in a core or router than the machine has. The mapper had promised otherwise, "
        "so this is an error of spikec: please report it, with the model and the command.",
    ),
    "E0321": Code(
        "a spike would not reach its targets",
        "The checker walks every route and follows every key through the routing tables. One of "
        "them does not lead to exactly the cores that hold a target of its source, takes a link "
        "that the machine does not have, or can block others for ever. This is an error of spikec: "
        "please report it, with the model and the command.",
    ),
    "E0322": Code(
        "the mapping is not well formed",
        "A neuron is in no core, a core is used twice or does not exist, or arrays of the mapping "
        "do not fit each other. This is an error of spikec: please report it, with the model and "
        "the command.",
    ),
    "W0323": Code(
        "a link is loaded beyond its capacity",
        "With the rates that the network was mapped for, more packets want to pass a link in a "
        "step than it can carry. They wait, and some arrive late or, on SpiNNaker, are dropped. "
        "Use more chips, or a stimulus with fewer spikes.",
    ),
    "E0324": Code(
        "a mapping cannot be read",
        "The file mapping.json has to be as compiler/mapping/mapping.schema.json describes it, and "
        "of the machine and network it is read for. Compile again.",
    ),
    "E0325": Code(
        "the interconnect locks up",
        "Packets wait for each other in a circle: each needs room in a buffer that is full of "
        "others of the circle, and nothing moves any more. On a torus, a ring or SpiNNaker's mesh "
        "any routes can do so. Give the buffers more room, send fewer packets at a time, or let "
        "routers drop a packet that is blocked, as SpiNNaker's do.",
    ),
    "E0326": Code(
        "a chip has no such cost model",
        "What work costs on a chip stands in its file, in tables [models.NAME]; without one, its "
        "latency and energy are unknown. Name one that there is, or write your own: docs/costs.md "
        "has those of every chip.",
    ),
    "E0327": Code(
        "a chip's interconnect is unknown",
        "Co-simulation needs to know how long packets take. A chip's file says so in a table "
        "[interconnect], in cycles; docs/costs.md has those of every chip.",
    ),
    "W0328": Code(
        "the program does not fit the chip",
        "A program that is simulated may be larger than the chip whose arithmetic it is in: it was "
        "written, and runs, but its network has no place on the cores. The message has the limit, "
        "its source, the excess, and what to change. Compiled for the chip itself the same is an "
        "error.",
    ),
    # -- E04: quantisation ------------------------------------------------------------------
    "E0401": Code(
        "the format cannot hold the network",
        "With this many bits a threshold or a weight leaves the range of the state. Use more "
        "state bits or fewer weight bits. SpiNNaker's s16.15 cannot be widened: there parameters "
        "in mV, nA, nF and ms are at least 2^-15 and below 2^16.",
    ),
    "E0402": Code(
        "an option of the quantiser is out of range",
        "Weights have 2 to 16 bits, and no more than a chip stores: docs/chips.md.",
    ),
    "W0403": Code(
        "weights collapse to zero",
        "More than half of the non-zero weights of a population round to zero at this width.",
    ),
    "W0404": Code(
        "a state may saturate",
        "The worst input would drive the membrane out of its format; it saturates there. With "
        "calibration data the report says whether that happens. On Loihi a synaptic current wraps "
        "instead, and a membrane that keeps what its spikes take off falls silent when it is full.",
    ),
    "W0406": Code(
        "a recovery is rounded so that it stops far from its goal",
        "In every step u goes the share a dt of the way to b v. Where that is less than half a "
        "unit of u, it goes nowhere. More state bits make the unit smaller.",
    ),
    "N0408": Code(
        "what calibration chose",
        "Loihi's numbers were chosen by the spikes of the calibration data, for each population "
        "those that change the fewest, in windows of 8 steps and in whole samples, where it gets "
        "the spikes that its sources should send, on the first 16 samples. What is left is mostly "
        "rounding, which more weight bits or --split-signs make less; W0404 says where states "
        "saturate. Data unlike the calibration's may fare worse than without it: use samples of "
        "every kind, quiet ones too.",
    ),
    "N0409": Code(
        "weights of both signs are coarse",
        "On Loihi the sign of a projection with weights of both signs costs a bit. Below 32 dB of "
        "signal to noise that may change what the network says: at 31 dB Braille loses one letter "
        "in a hundred, at 33 none or one in two hundred. --split-signs makes of each such "
        "projection two, which have all bits for the magnitude and are 6 to 9 dB finer. It costs a "
        "process of Lava for each, and synapse memory on a chip: 61 % more for Braille's dense "
        "weights, 33 % for the convolutions of N-MNIST. --calibration may do as well.",
    ),
    "W0407": Code(
        "a rule of pairs is rounded by more than 5 %",
        "On Loihi an amplitude is a mantissa of four bits times a power of two and an impulse, a "
        "time constant whole steps, and rails are 255 units of a weight. The two sides of a rule "
        "are chosen to be off alike, because what is learned is their difference. docs/loihi.md "
        "has what is made of a rule in real numbers.",
    ),
    "E0405": Code(
        "plastic weights have no exact integer form",
        "A rule that counts in whole weights must not be rescaled: into a population with such a "
        "plastic projection one unit of weight stays one unit, all neurons need the same input "
        "gain, and the rails must fit the weight bits. A rule in real numbers becomes one in whole "
        "numbers, with bits below the unit of a weight: its amplitudes must be at least half of "
        "the finest unit and at most 16 bits of it, and its rails two numbers of units. "
        "docs/plasticity.md has the limits.",
    ),
    # -- E05: time ---------------------------------------------------------------------------
    "E0501": Code(
        "a loop has fewer steps than hops",
        "Hardware needs at least one step for each hop, and retiming cannot change the delay "
        "around a loop. The message names the loop, its steps and its hops.",
    ),
    "E0502": Code(
        "retiming would change what pairs",
        "A rule pairs the reading of a row with the spikes of the post population. The target "
        "needs more steps on this path than the projection has, and moving the population by as "
        "many would shift every pair. Give the projection the delay that the target needs.",
    ),
    # -- E06: environment ----------------------------------------------------------------------
    "E0601": Code(
        "a Python package is missing",
        "An optional part of spikec needs a package that is not installed; the message has the "
        "pip command.",
        environment=True,
    ),
    "E0602": Code(
        "a program is missing",
        "An external program is not on PATH; the message says which and how to get it.",
        environment=True,
    ),
    "E0603": Code(
        "a tool failed",
        "An external tool ended with an error. The message has its last lines; the whole log lies "
        "where it says.",
        environment=True,
    ),
    "E0604": Code(
        "the output cannot be written",
        "The folder or disk refuses. Nothing was left half-written.",
        environment=True,
    ),
    "E0605": Code(
        "a tool ran out of time",
        "The tool was ended, with its children. Raise the limit or reduce the design.",
        environment=True,
    ),
    "E0606": Code(
        "no Dask scheduler",
        "Nothing answers at the address of --scheduler, it has no worker, or it went away. 'dask "
        "scheduler' starts one, 'dask worker ADDRESS' a worker. What an exploration has found is "
        "in its journal: the same command goes on from there.",
        environment=True,
    ),
    "E0607": Code(
        "workers die",
        "Three workers ended while they evaluated the same point: killed, or out of memory. What "
        "was found until then is in the journal. Use fewer workers on one computer.",
        environment=True,
    ),
    "E0608": Code(
        "a worker has another spikec",
        "Results of two versions must not stand in one front. Install the same version wherever "
        "workers run.",
        environment=True,
    ),
    # -- E07: stimuli and artefacts -----------------------------------------------------------
    "E0701": Code("the stimulus cannot be read", "It must be .npz, a NIR data file or AER text."),
    "E0702": Code(
        "the stimulus does not fit the network",
        "Inputs are matched by name, or by order when there is one; sizes must agree.",
    ),
    "E0703": Code(
        "the stimulus holds values this rung cannot take",
        "Digital rungs take spike counts: integers of zero and more.",
    ),
    "E0704": Code("this is not a compiled artefact", "Compile first: the folder has no manifest."),
    "E0705": Code(
        "the artefact is damaged",
        "A file is missing or its content differs from the manifest. Compile again.",
    ),
    "E0706": Code("a recording cannot be read", "It must be an .npz written by 'spikec run'."),
    "E0707": Code("an option is wrong", "The message names the option and what it takes."),
    # -- E08: devices and simulation -----------------------------------------------------------
    "E0801": Code(
        "timing is not met",
        "The place-and-route tool reports a lower maximum frequency than the board's clock, or a "
        "signal that is faster than its clock (a hold violation), with every seed that was tried. "
        "The bitstream would fail at random; it is not written. Lower the clock or the lanes, or "
        "try more seeds with 'compile --placements'.",
    ),
    "E0802": Code(
        "the device does not answer",
        "A command got no reply in time. The message says which and after how many cycles.",
    ),
    "E0803": Code(
        "the device reported an error",
        "The command engine refused a command; the message has its code.",
    ),
    "E0804": Code(
        "the port cannot be used",
        "The port is absent, used by another program, or not yours to open. The message says "
        "which. 'ls /dev/ttyUSB* /dev/ttyACM* /dev/spidev*' lists what there is; a port belongs to "
        "a group, often 'dialout' or 'spi', that a user has to be in.",
        environment=True,
    ),
    "E0805": Code(
        "the board holds something else",
        "The device answered, but its core has another shape or its memories hold another network "
        "than the artefact's. --program sends the artefact's bitstream, --load writes the network "
        "over the wire into a core of the same shape.",
    ),
    "E0806": Code(
        "the board is gone",
        "The device had answered and then stopped: unplugged, reset, without power, or opened by "
        "another program. No spike of the run was kept. Plug it in and run again.",
        environment=True,
    ),
    "E0807": Code(
        "the wire is too bad",
        "Frames to the device were damaged or lost again and again, although it answers. Look at "
        "cable, ground and baud rate; 'spikec deploy --status' shows how many frames it dropped.",
        environment=True,
    ),
    "E0808": Code(
        "weights changed in the board's memory",
        "The core was compiled with --parity and read weight words of which a bit had changed "
        "since they were loaded, by radiation or a voltage that dropped. It steps no further and "
        "no spike of the run was kept. 'spikec deploy --load' writes the network again.",
        environment=True,
    ),
    # -- E09: exploration ------------------------------------------------------------------------
    "E0901": Code(
        "the design space is wrong",
        "A space is a TOML file with a table [space] that names dimensions and the values of each, "
        "and, if wanted, [fixed] and [objectives]. The message names the key.",
    ),
    "E0902": Code(
        "the journal is of something else",
        "The folder has results of another model, stimulus, space, seed, method or version. They "
        "cannot stand in one front or table with new ones. Choose another folder.",
    ),
    "E0903": Code(
        "the journal is in use",
        "Another run of 'spikec explore' or 'spikec montecarlo' writes results to this folder. Two "
        "would evaluate the same points twice.",
    ),
    "E0904": Code(
        "the journal is damaged",
        "A line before the last is no result. Only the last line can be cut short by a kill, so "
        "something else changed the file. Without that line its point is evaluated again.",
    ),
    "E0905": Code(
        "an evaluation failed",
        "The compiler itself failed on one point of a design space, or on one chip: a fault of "
        "spikec. The point counts as refused. 'spikec compile' with its options, or 'spikec run' "
        "with the chip's --seed, shows the same.",
    ),
    "E0906": Code(
        "no point of the space can be built",
        "Every point that was evaluated is refused, or every chip. The message has the reasons, "
        "the most frequent first; each is one of 'spikec compile' or 'spikec run'.",
    ),
    "W0907": Code(
        "the last line of the journal was cut short",
        "The run was killed while it wrote. The line is removed and its point evaluated again.",
    ),
    # -- E10: PyNN scripts ---------------------------------------------------------------------
    "E1001": Code(
        "there is no such model or connector",
        "The module has the cells, synapses and connectors that the graph can express. Models of "
        "another simulator's module, native models and multi-compartment cells are not among them.",
    ),
    "E1002": Code(
        "a parameter of the script is wrong",
        "The message has the parameter, its value, and what it may be. A population has one "
        "refractory period, a plastic projection one rule.",
    ),
    "E1003": Code(
        "a delay is out of range",
        "A spike takes at least one step of the simulation, and at most max_delay where setup() "
        "was given one. Delays are rounded to whole steps.",
    ),
    "E1004": Code(
        "a weight has the wrong sign",
        "PyNN's convention: conductances and excitatory currents have positive weights, inhibitory "
        "currents negative ones, and those of one projection agree.",
    ),
    "E1005": Code(
        "this cannot be recorded",
        "Each cell has its recordable variables; a sampling interval is a whole number of steps, "
        "and the same for all variables of a population.",
    ),
    "E1006": Code(
        "the network changes in the middle of a run",
        "A graph has one value of each parameter, so a network that changes while it runs has no "
        "graph. Spike sources and current sources are stimuli, and may change at any time; reset() "
        "begins a new run.",
    ),
    "E1007": Code(
        "this connection cannot be made",
        "The message has PyNN's own reason: indices out of range, populations of unlike synapses, "
        "a receptor that the cell does not have.",
    ),
    "E1008": Code(
        "this is not in the network",
        "A script's cells are in its populations, and in views and assemblies of them. setup() "
        "begins a new network and forgets the one before: what was made before it is in none. "
        "Cells of another simulator's module are in that simulator.",
    ),
    # -- E11: PyNN programs -------------------------------------------------------------------
    "E1101": Code(
        "the simulator, or PyNN, has no such neuron",
        "A population becomes a standard cell of PyNN where its equation and every rule of its "
        "step are those of the cell, in Brian2 or on SpiNNaker: docs/pynn-programs.md has the "
        "table. Nothing is approximated silently; the message says what is otherwise.",
    ),
    "E1102": Code(
        "the simulator has no such synapse",
        "PyNN's STDPMechanism pairs all spikes by exponentials (SpikePairRule) and sends the "
        "changed weight; simulators lack some of its weight dependences. Synapses that tire are "
        "NEST's alone.",
    ),
    "E1103": Code(
        "the delay of a plastic synapse is on the wrong side",
        "Whether a delay passes in the axon or in the dendrite decides which spikes pair. Brian2's "
        "delays are axonal (dendritic_delay_fraction 0), those of SpiNNaker and NEST dendritic "
        "(1). A memory that was learnt with one recalls nothing with the other, so the fraction is "
        "never changed for you.",
    ),
    "E1104": Code(
        "a delay is out of the simulator's range",
        "PyNN's simulators take at least one step. SpiNNaker's cores have 32 delay slots for 256 "
        "neurons, twice as many for half of them; eight stages of delay extensions go beyond.",
    ),
    "E1105": Code(
        "a weight has the wrong sign for its receptor",
        "PyNN's convention: weights of inhibitory currents are negative, all others positive.",
    ),
    "E1106": Code(
        "a number does not fit SpiNNaker",
        "Parameters are s16.15: up to 65535 in steps of 1/32768. Weights have 16 bits, and one "
        "unit of them is chosen for a receptor so that all that may arrive in one step fits. So "
        "large weights, or many, leave small ones nothing.",
    ),
    "E1107": Code(
        "the simulator cannot take this step",
        "SpiNNaker's timer counts whole microseconds.",
    ),
    "E1108": Code(
        "there is no way to say this in PyNN",
        "A PyNN program lists synapses from sources and cells to cells. It has no biases, no "
        "currents that a population sends, no delays of currents, and no convolutions.",
    ),
    "E1109": Code(
        "the program failed",
        "The simulator ended with an error; the message has its last lines. The program is in the "
        "artefact, and runs by hand.",
        environment=True,
    ),
    "E1112": Code(
        "there is no SpiNNaker machine",
        "Without a machine in .spynnaker.cfg a program is mapped to a virtual board: splitting, "
        "placement, routes, keys and data are made, and nothing runs. Name a board or a spalloc "
        "server there to have spikes.",
        environment=True,
    ),
    "W1110": Code(
        "weights round to zero on SpiNNaker",
        "Weights below half a unit of their receptor's 16 bits send nothing. The message has the "
        "unit, and the sum in one step that it was chosen for.",
    ),
    "W1111": Code(
        "the simulator steps otherwise than the graph",
        "Two simulators of PyNN take the same cell through a step in different ways: what arrives "
        "counts before or behind the membrane, thresholds are compared by > or >=, currents decay "
        "or are held. The graph has the rules of one; on another, spikes may differ. 'spikec "
        "verify' names the first one.",
    ),
    # -- E12: Lava programs -------------------------------------------------------------------
    "E1201": Code(
        "a Lava program cannot do this",
        "Its weights do not learn, its synapses do not tire. A pair of neurons has one synapse of "
        "each delay in a projection, and nothing arrives at a population while its lag lasts.",
    ),
    "E1202": Code(
        "the program failed in Lava",
        "Lava ended with an error, or one of its processes ended by itself; the message has the "
        "last lines. Every process of the run was ended. The program is in the artefact, and runs "
        "by hand.",
        environment=True,
    ),
    "E1203": Code(
        "shared memory is too small for Lava",
        "Lava runs a process for each population and projection, and they talk through /dev/shm, "
        "which containers give 64 MiB unless told otherwise.",
        environment=True,
    ),
    # -- E13: crossbars -----------------------------------------------------------------------
    "E1301": Code(
        "no crossbar has these values",
        "The cells are conductances in siemens, rows by columns, none negative or infinite; an "
        "open cell is 0. Resistances of wires, drivers and sense amplifiers are in ohm and at "
        "least 0, which is an ideal one. A cell's curve has finite coefficients that fit the "
        "cells; a converter has a step above 0 and at least one bit; a neuron's capacitance, "
        "threshold and time are above 0.",
    ),
    "E1302": Code(
        "voltages do not fit the crossbar",
        "A vector has one finite voltage for each word line, and gated rows are told as one truth "
        "value for each voltage.",
    ),
    "E1303": Code(
        "the currents of a crossbar did not converge",
        "Conjugate gradients always get there with enough iterations: more of them where drivers "
        "and sense amplifiers are far weaker than the cells, so that a line floats. The limit was "
        "too low for the tolerance. Cells that bend are solved by Newton's method around that.",
    ),
    "E1304": Code(
        "a cell's current falls with its voltage",
        "Where dI/dV is not above 0 a circuit may have several states, or none that is stable, so "
        "its currents are not defined by the voltages alone. The curve has to rise over all that a "
        "cell may see: from minus to plus the spread of the drivers' voltages and 0 V.",
    ),
    "E1310": Code(
        "the device of a crossbar cannot do this",
        "Cells are programmed to conductances between the lowest and the highest of their device. "
        "How they age is known for some devices only, of some at a few times. A fit of a current "
        "holds up to a voltage. Beyond these, numbers would be invented. Shares of stuck cells are "
        "from 0 to 1 together.",
    ),
    "E1320": Code(
        "no condition of a crossbar",
        "A crossbar is compiled and run under conditions that are said as KEY=VALUE, one for each "
        "--condition: wire=1 (ohm a segment), age=1day, adc_bits=6, stuck=1%, drift=off and "
        "others. docs/crossbar.md has all of them. Values outside of their range, and those that "
        "the macro cannot have, are refused.",
    ),
    "E1321": Code(
        "the network does not fit on crossbars",
        "Weights become conductances in the tiles of a macro, and currents arrive in the step in "
        "which they are read: synapses with delays of their own have no place there, nor has a "
        "matrix right behind another. A tile must have room for all bit lines of one weight, two "
        "for each slice of it, beside its spare ones.",
    ),
    "W1322": Code(
        "conductances cannot make up for the wires",
        "Compensation looks for conductances whose effective ones, behind the wires, are in "
        "proportion to the weights. Where lines lose too much, or levels are too far apart, none "
        "of the device do, and products are off by what the message says. Smaller tiles lose "
        "less, the loss growing with the square of their side.",
    ),
    "E1330": Code(
        "ngspice would take too long",
        "The rung 'ngspice' has the currents of a chip from a simulator of circuits, whose time "
        "grows with about the fifth power of a tile's side: 0.1 s an operating point of 32 x 32 "
        "cells, 3 s of 64 x 64, 20 s or more of 96 x 96. How many it takes is known beforehand, "
        "from a run with the solver's currents, which are the same to ten digits. "
        "--condition ngspice_time=1h allows an hour; smaller tiles (--condition tile=32) take "
        "less.",
    ),
    "N1331": Code(
        "no SPICE decks of these tiles",
        "An artefact of a crossbar has a deck of each tile as it is meant to be, tiles/NAME-K.cir, "
        "which 'ngspice -b' runs. They take a hundred bytes or more a cell, so a large design has "
        "none unless they are asked for: --condition decks=on. decks=off leaves them out, and with "
        "them this note.",
    ),
    "E1332": Code(
        "no analogue neuron does this",
        "With neuron=analogue the currents of a crossbar flow onto a capacitor with a leak, and a "
        "comparator fires once a step at most. Membranes whose leak depends on themselves, as "
        "Izhikevich's, and several spikes in a step need logic behind converters: neuron=digital.",
    ),
    # -- E14: superconducting circuits -------------------------------------------------------
    "E1400": Code(
        "a node floats",
        "Every node needs a way to ground through inductors, resistors, capacitors, junctions or "
        "lines; without one its phase is not defined. Current sources are no way: theirs has to "
        "return through something.",
    ),
    "E1401": Code(
        "no element has this value",
        "Resistances, inductances, capacitances, delays and areas are above 0, couplings within -1 "
        "to 1, and the matrix of coupled inductances is positive definite, or energy would come "
        "from nothing. A junction's model has a critical current, a gap and resistances above 0.",
    ),
    "E1402": Code(
        "a voltage source floats",
        "The unknowns are phases, and that of a node behind a grounded voltage source is known. "
        "One side of a voltage source is ground, and a node has one voltage source at most.",
    ),
    "E1403": Code(
        "no such element or node",
        "Elements and nodes are found by their names, elements' begin with the letter of their "
        "kind, and each name is there once. Names of an instance X1 are those of its subcircuit "
        "with |X1 behind them.",
    ),
    "E1404": Code(
        "no transient has these values",
        "Times and steps are above 0, the times of a wave rise, edges of pulses last. What varies "
        "has one value, or one for each parameter set. A source that is delayed by less than 0 "
        "may not move into the ramp, before time 0. A deck has at most 10^8 steps of up to 1 ns, "
        "each of its periodic sources 10^7 pulses, and its lines last 10^7 steps: its times are in "
        "s, and 200 ps is 200p.",
    ),
    "E1405": Code(
        "the step is too long for the circuit",
        "The phases of junctions within a step are found by a fixed point, which is there as long "
        "as the step is shorter than the plasma oscillation of the junctions, 1 / (2 pi f), and "
        "lines take longer than a step. Where steps are as long, results would mean nothing. "
        "The message says which junction, and what step to take.",
    ),
    "E1406": Code(
        "a deck cannot be read from its file",
        "An .include is the path of a file, relative to the file that it stands in, and is read in "
        "its place, within a subcircuit too. No file includes itself, whatever lies between. A "
        "deck that is given as text is in no folder and includes nothing. Paths are taken as they "
        "are written: ~ and variables mean nothing in them.",
    ),
    "E1407": Code(
        "a deck does not say what to do",
        "A deck is simulated for as long as its .tran says, and waves are written of what its "
        ".print, .plot and .save name.",
    ),
    "E1410": Code(
        "a deck has something that is not read",
        "Decks are read in what JoSIM and SPICE share: elements B, R, L, C, K, I, V, T and X, and "
        ".subckt, .model, .param, .tran, .print, .temp, .include and .end. What changes no element "
        "is passed over, as .option and .iv. Any other statement would change the circuit unseen, "
        "so the message names the line and the word. docs/sfq.md has the language.",
    ),
    "E1411": Code(
        "a number or expression of a deck has no value",
        "Values are numbers with a scale, as 2.5p, or expressions of numbers, parameters, "
        "+ - * / ^ and functions as sqrt. Parameters may stand in any order, but not be made of "
        "themselves.",
    ),
    "W1412": Code(
        "a deck prints something that is not kept",
        "Phases and voltages are those of nodes and of all elements; currents those of resistors, "
        "of inductors without a coupling and of sources of current. The circuit is simulated, and "
        "the rest of what it prints is written.",
    ),
    "E1420": Code(
        "no cell of the SFQ library has that name",
        "The cells are decks in backends/sfq/cells; `docs/sfq-cells.md` has them with figures.",
    ),
    "E1421": Code(
        "a cell of a netlist is not joined as it should be",
        "Each instance has a name of its own, and a net for every port of its cell.",
    ),
    "E1422": Code(
        "a net of a netlist is not one wire",
        "A flux quantum is not copied by a wire: a net has one port that drives it and one that "
        "takes it. A splitter makes two of one pulse, a merger one line of two.",
    ),
    "E1423": Code(
        "nothing is known of when a cell sends its pulse",
        "The event-level model has the delays that the circuit simulator measured of cells that "
        "chance has no part in. The others are simulated as circuits.",
    ),
    "E1424": Code(
        "a circuit fails its check with all values as they are",
        "A margin is how far a value can go from its nominal one before a check fails, so the "
        "check has to hold there. Look at the pulses of a single run; slower stimuli may help.",
    ),
    "E1425": Code(
        "a cell is not the machine that it should be",
        "Each state and input was tried between transmission lines, well apart and at random; "
        "the deck of the cell or its table in backends/sfq/cells is wrong.",
    ),
    "E1426": Code(
        "nothing says when a cell works",
        "A margin needs a check that holds or fails. A cell of your own that is no machine of "
        "states has none; give it one, or a check of your own to "
        "`spikec.backends.sfq.josephson.margins.margins`.",
    ),
    "E1430": Code(
        "pulses in a circuit of cells do not end",
        "A loop of cells in which no cell waits for a clock sends every pulse round and round.",
    ),
    "E1431": Code(
        "a loop of cells has no clock",
        "When pulses come is known from the clocks on. A loop needs a cell that waits for one.",
    ),
    "E1432": Code(
        "a network has neurons or connections that no SFQ circuit has",
        "Cells count pulses, of a step or of all steps since a neuron fired: neurons are "
        "thresholds of weighted sums, without memory or without a leak, and weights are fixed.",
    ),
    "E1433": Code(
        "a neuron is too much for cells that count pulses",
        "Each unit of a weight is a pulse, and pulses come one after the other. Weights are made "
        "as small as the same function allows; what is left has to be few.",
    ),
    "E1434": Code(
        "pulses cannot be kept apart",
        "Each cell takes a least time between two pulses, at all corners of its delays. Lines are "
        "delayed against each other until all have it, or until that is no longer sensible.",
    ),
    "E1435": Code(
        "pulses came closer than a cell can tell apart",
        "The event-level model says what cells do as long as pulses keep the least separations "
        "that were measured of them. Input pulses may be no closer than the program says.",
    ),
    "E1436": Code(
        "these stimuli are not those of the program",
        "Cases are arrays of cases, steps and lines of each input of the program, with a skew of "
        "each pulse within the program's, and of cases, steps and neurons of what should fire.",
    ),
    "E1437": Code(
        "a line of cells has one pulse in a step or none",
        "Input lines of SFQ circuits carry spikes, not counts: a second pulse in a step would come "
        "too close to the first, and no cell reads how large one is.",
    ),
    "E1438": Code(
        "a pulse of the circuit is none of the event-level model",
        "Where all elements have their values and resistors no noise, each net of the circuit has "
        "the pulses of the rung events, at most as far off as jitter and neighbours of all cells "
        "on the way make them. 'spikec verify' names the first that is lost, one too many or off: "
        "its net, its number, step and sample, the cell that drives the net and the neuron that "
        "this is part of; or the two pulses that came closer than the cell stands. Spikes may be "
        "right all the same. If no deck was changed, please report it.",
    ),
    "N1439": Code(
        "a cell of the circuit does something else than its event-level model",
        "Where elements are off, resistors have noise or synapses release by chance, pulses come "
        "at other times than on the rung events. Each cell is looked at by itself then: of the "
        "pulses that came to it in the circuit its machine says what it should have sent. 'spikec "
        "verify' names the first pulse that is lost, or one too many, and what came too close at "
        "that cell before. A pulse that is lost need not change a spike.",
    ),
    "E1445": Code(
        "no synapse of cells has that release probability",
        "Noise decides at a junction whether a pulse passes, and its bias current how often. The "
        "law p = Phi((Ib - I50) / sigma) was measured where p is neither tiny nor all but 1.",
    ),
    "E1446": Code(
        "a simulator of Josephson circuits is not there",
        "The rung `josim` runs the circuit in josim-cli, which is neither part of spikec nor "
        "installed by it; the rung `circuit` solves the same equations without it.",
        environment=True,
    ),
    "E1447": Code(
        "what --release says is no probability of a projection",
        "A probability `--release P` is for all projections, `--release NAME=P` for one, whatever "
        "the first says. 1 leaves the synapses out. All lines from one node to another have one. "
        "`weights` instead of P gives each synapse the probability of its weight.",
    ),
    "E1448": Code(
        "a population cannot release by weights",
        "By weights a line passes a pulse with |w| / s, s being the largest weight of the neuron, "
        "so that it counts its threshold in units of s: all projections into a population are by "
        "weights, or none. A reset by subtraction takes off what is no whole number of s; with a "
        "reset to 0 a neuron that adds up may be by weights.",
    ),
    "N1449": Code(
        "what a release by weights made of a projection",
        "Weights became probabilities: each line passes at most one pulse a spike, with |w| / s, "
        "s being the largest weight of the neuron. Lines below 0.01 have no synapse and no pulse, "
        "those above 0.999 pass all. The threshold is a whole number of pulses: s times it may be "
        "above the threshold that weights had, and the neuron then fires less often.",
    ),
    "E1450": Code(
        "a neuron adds up what cells cannot",
        "A neuron without a leak holds its sum as stored flux quanta: each pulse stores one more, "
        "none takes one away, and there are as many as its threshold. Its weights and its bias "
        "are 0 or more, and its state is wide enough for all that a step brings.",
    ),
    "E1451": Code(
        "a neuron's spike takes off what cells cannot",
        "With a reset by subtraction a row of toggling cells counts: n of them fire after 2^n "
        "pulses and keep what is left over. In units that all weights are multiples of, what a "
        "spike takes off is a power of two, no more than what fires it, and no less than what a "
        "step brings. A reset to 0 has none of these limits.",
    ),
    "W1452": Code(
        "a step of the circuit is longer than one of the network",
        "Clocks of a circuit of cells come as soon as all pulses are there, and a step lasts until "
        "the next may begin. Where that is longer than dt the circuit has the same spikes, but "
        "does not keep up with inputs that come in real time.",
    ),
    "W1453": Code(
        "lines that are left out of a release by weights would bring much",
        "Noise passes no pulse with less than 0.01 that was measured, so lines whose weight is "
        "below a hundredth of the neuron's largest are left out. Together they would have brought "
        "the neuron half a pulse in a step or more. With weights of fewer bits small ones become "
        "0 or large enough.",
    ),
    "E1460": Code(
        "ngspice has no noise, and chance decides what the synapses release",
        "A synapse passes a pulse where thermal noise says so. ngspice solves transients without "
        "noise, and would pass all or none: not what the network does. `circuit` and `josim` have "
        "the noise of all resistors.",
    ),
    "E1480": Code(
        "a cell of the SFQ library has no such parameter",
        "What may be changed of a cell are the `.param`s of its deck in backends/sfq/cells, and "
        "`betac` of all its shunts; `docs/sfq-cells.md` has them. Values are in SI units, areas in "
        "units of 0.1 mA.",
    ),
    "E1481": Code(
        "no circuit near the rules of a cell works",
        "Centring begins from circuits that are drawn around the values that a cell's rules give. "
        "If none of them passes the cell's trial there is no direction to go. Draw more of them, "
        "or mend the rules in the comments of the deck.",
    ),
    "E1486": Code(
        "these counts are not those of the synapses",
        "Bias currents of a chip are made of what each synapse of the artefact did: currents in A, "
        "how many pulses passed at each, and of how many. There is one entry for each synapse, by "
        "its name in cells.json.",
    ),
    "E1487": Code(
        "counts do not say at which current a synapse passes a pulse",
        "Its I50 follows from how many pulses passed at known currents. Where all passed, or none, "
        "it is only known to be further down, or further up.",
    ),
    "W1485": Code(
        "synapses of a chip release with another probability",
        "Elements of a chip are off, and each moves the current at which a synapse passes every "
        "second pulse. The manifest has the range in which 95 % of the synapses are. A chip's own "
        "currents give each the probability again: measure and trim them.",
    ),
    "E1490": Code(
        "no condition of SFQ circuits",
        "Chips of SFQ circuits are run under conditions that are said as KEY=VALUE, one for each "
        "--condition or --vary: bias=0.9 (of all biases together), areas, inductances and "
        "resistors, spread=2% of every element, bias_spread, temperature=4.2K and skew=5ps of "
        "input pulses. docs/sfq-margins.md has all of them.",
    ),
    "E1491": Code(
        "a network that releases by chance has no margins",
        "A margin is how far a value can go before a spike is another than the integer rung's. "
        "Where noise decides which pulses pass, spikes differ from run to run with all values as "
        "they are. --gap asks for rates instead: that those at inputs at which the integer rung "
        "has a spike are apart from those at the others.",
    ),
    "E1492": Code(
        "nothing that corners are of",
        "Corners are of two things against each other, 'spikec margins --corners X,Y': groups of "
        "elements by their titles in the table, as bias or 'dff areas', as factors of their "
        "values, or the temperature in K. Each may say its values, LOW:HIGH:STEP, as in "
        "bias=0.8:1.2:0.05.",
    ),
    "N1493": Code(
        "which pulse goes wrong first beyond a margin",
        "Just below and just above its margin a group of elements was tried again, and the first "
        "pulse was looked for that is missing, is one too many, comes in no step or goes back. "
        "Steps and samples count from 0; layers of one step are looked at in their order.",
    ),
    "E1494": Code(
        "no gap of a network that remembers",
        "The gap is between rates at the inputs of one step, which come in orders by chance. What "
        "a network with delays, loops or neurons that add up over steps sends depends on the steps "
        "before, too, so that an input has no rate of its own.",
    ),
    "E1495": Code(
        "nothing that a gap is between",
        "The gap is between the inputs of a step at which the integer rung has a spike and those "
        "at which it has none, of neurons that are read out and need a circuit. The stimulus has "
        "only one of both kinds; its inputs are counted each once, however often they come.",
    ),
    "N1496": Code(
        "between which rates the gap is beyond a margin",
        "Just below and just above its margin a group of elements was tried again: the neuron and "
        "the input with the least rate of those that should fire, and with the greatest of those "
        "that should not. Inputs are written as lines that have a pulse (1) or none (0), and "
        "numbered from 0 in the order of these where there are more than 16 lines.",
    ),
}
