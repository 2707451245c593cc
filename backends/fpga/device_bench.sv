// Simulation only: the host's side of the link to a `device`, played from files.
//
// rx.bin holds the stream of commands, which go to the device in frames as fast as it grants them;
// the stream of replies goes to tx.bin. The line is clean, so a frame that is not sound ends the
// run. With +raw=1 the two files hold the bytes on the line instead, whatever they are, and rx.bin
// may grow: the supervisor says so with `refill`. With +trace=1 every trace
// record goes to trace.bin as six 32-bit words a neuron: step, index,
// v, u, spike, h (0 unless OFFSETS is defined, for a device that has them).
// +gap=N leaves N idle cycles after each byte, in both directions; +stall=SEED makes both sides
// pause at random for half of the cycles.
`timescale 1ns / 1ns

module device_bench;
  bit clk = 0;
  bit rst = 1;
  always #1 clk = ~clk;

  longint unsigned cycles  /*verilator public_flat_rd*/ = 0;
  longint unsigned sent  /*verilator public_flat_rd*/ = 0;
  longint unsigned received  /*verilator public_flat_rd*/ = 0;
  longint unsigned traced  /*verilator public_flat_rd*/ = 0;
  // Cycle in which the last byte from the device arrived.
  longint unsigned last_cycle  /*verilator public_flat_rd*/ = 0;
  // Frames of the device that were not sound.
  longint unsigned unsound  /*verilator public_flat_rd*/ = 0;
  // Written by the supervisor: bring tx.bin up to date, look whether rx.bin has grown.
  bit flush  /*verilator public_flat_rw*/ = 0;
  bit refill  /*verilator public_flat_rw*/ = 0;

  int rx_file, tx_file, trace_file;
  int trace = 0;
  int gap = 0;
  int stall = 0;
  int raw = 0;

  initial begin
    void'($value$plusargs("raw=%d", raw));
    void'($value$plusargs("trace=%d", trace));
    void'($value$plusargs("gap=%d", gap));
    void'($value$plusargs("stall=%d", stall));
    rx_file = $fopen("rx.bin", "rb");
    tx_file = $fopen("tx.bin", "wb");
    if (trace != 0) trace_file = $fopen("trace.bin", "wb");
  end

  bit [7:0] rx_payload = 0;
  bit rx_valid = 0;
  wire rx_ready;
  wire [7:0] tx_payload;
  wire tx_valid;
  bit tx_ready = 0;

  device dut (
      .clk,
      .rst,
      .rx_payload,
      .rx_valid,
      .rx_ready,
      .tx_payload,
      .tx_valid,
      .tx_ready,
      // Read by name below: their widths differ from core to core.
      .trace_valid(),
      .trace_step(),
      .trace_index(),
      .trace_v(),
      .trace_u(),
`ifdef OFFSETS
      .trace_h(),
`endif
      .trace_spike()
  );

  // Cores side by side; neurons of a record, and bits of a state and of the first one's number.
  int cores, units, bits, places, first, records;
  // The state of neuron k of a record, `bits` wide.
  function automatic bit [31:0] extended(bit [31:0] value, int bits);
    return $signed(value << (32 - bits)) >>> (32 - bits);
  endfunction

  function automatic bit [31:0] offset_of(int neuron, int bits);
`ifdef OFFSETS
    return extended(32'(dut.trace_h >> (neuron * bits)), bits);
`else
    return 0;
`endif
  endfunction

  // A 32-bit xorshift generator: never zero once seeded with something else.
  bit [31:0] noise = 0;
  function automatic bit [31:0] next_noise(bit [31:0] x);
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
  endfunction

  // ---- the host's end of the frames ----
  localparam int HOST_HEADER = 5, DEVICE_HEADER = 7, MOST = 240;
  localparam bit [7:0] END = 8'h7e, ESCAPE = 8'h7d, ESCAPED = 8'h20;
  bit [7:0] plain[0:511];  // a frame before escapes ...
  bit [7:0] coded[0:1023];  // ... and after, from coded_at on still to be sent
  int plain_size = 0, coded_size = 0, coded_at = 0;
  bit asked = 0, opened = 0, acknowledge = 0, ended = 0;
  bit [11:0] offset = 0, taken = 0, limit = 0;
  // Payload of a frame: the device tells of each half of its buffer that it has worked off, and
  // what is then granted at least must do, or both would wait for ever.
  int most = 0;

  function automatic bit [31:0] crc_step(bit [31:0] crc, bit [7:0] data);
    crc ^= 32'(data);
    for (int k = 0; k < 8; k++) crc = crc[0] ? (crc >> 1) ^ 32'hEDB88320 : crc >> 1;
    return crc;
  endfunction

  // Makes `coded` of the first plain_size bytes of `plain`, crc and delimiter added.
  task automatic seal();
    bit [31:0] crc = '1;
    for (int k = 0; k < plain_size; k++) crc = crc_step(crc, plain[k]);
    crc = ~crc;
    for (int k = 0; k < 4; k++) plain[plain_size+k] = crc[8*k+:8];
    plain_size += 4;
    coded_size = 0;
    for (int k = 0; k < plain_size; k++) begin
      if (plain[k] == END || plain[k] == ESCAPE) begin
        coded[coded_size] = ESCAPE;
        coded_size++;
      end
      coded[coded_size] = plain[k] ^ (plain[k] == END || plain[k] == ESCAPE ? ESCAPED : 8'h0);
      coded_size++;
    end
    coded[coded_size] = END;
    coded_size++;
    coded_at = 0;
  endtask

  // Makes the next frame if there is one to send.
  task automatic next_frame();
    bit [11:0] window;
    int size, data;
    plain[0] = 1;
    {plain[2], plain[1]} = {asked ? 4'd0 : 4'd1, offset};
    {plain[4], plain[3]} = {4'd0, taken};
    plain_size = HOST_HEADER;
    window = limit - offset;  // modulo 2^12
    if (opened && !ended && window >= 12'(most)) begin
      for (size = 0; size < most; size++) begin
        data = $fgetc(rx_file);
        if (data < 0) begin
          ended = 1;
          break;
        end
        plain[HOST_HEADER+size] = data[7:0];
      end
      plain_size += size;
      offset += 12'(size);
      sent <= sent + 64'(size);
    end
    if (!asked || acknowledge || plain_size > HOST_HEADER) seal();
    asked = 1;
    acknowledge = 0;
  endtask

  bit [7:0] heard[0:511];
  int heard_size = 0;
  bit escaped = 0;

  // Takes a byte from the line; a whole frame updates the state above and its payload is written.
  task automatic hear(bit [7:0] data);
    int size;
    bit [31:0] crc;
    if (data == ESCAPE && !escaped) begin
      escaped = 1;
      return;
    end
    if (data != END) begin
      heard[heard_size] = data ^ (escaped ? ESCAPED : 8'h0);
      escaped = 0;
      if (heard_size < 511) heard_size++;
      return;
    end
    size = heard_size;
    crc = '1;
    for (int k = 0; k < size; k++) crc = crc_step(crc, heard[k]);
    if (escaped || size < DEVICE_HEADER + 4 || crc != 32'hDEBB20E3) unsound <= unsound + 1;
    else begin
      opened = 1;
      limit = 12'({heard[6], heard[5]}) + 12'(1 << heard[4][7:4]) - 12'd8;
      most = (1 << heard[4][7:4]) / 2 - 8;
      if (most > MOST) most = MOST;
      size -= DEVICE_HEADER + 4;
      if (size > 0 && 12'({heard[2], heard[1]}) == taken) begin
        for (int k = 0; k < size; k++) $fwrite(tx_file, "%c", heard[DEVICE_HEADER+k]);
        taken += 12'(size);
        received <= received + 64'(size);
        last_cycle <= cycles;
        acknowledge = 1;
      end
    end
    heard_size = 0;
    escaped = 0;
  endtask

  int rx_wait = 0;
  int tx_wait = 0;
  int rx_byte;
  bit pause_rx, pause_tx;

  always @(posedge clk) begin
    cycles <= cycles + 1;
    if (cycles == 0) noise <= 32'(stall);
    else if (stall != 0) noise <= next_noise(noise);
    if (cycles == 3) rst <= 0;
    pause_rx = noise[3];
    pause_tx = noise[11];
    if (cycles > 3) begin
      if (rx_valid && rx_ready) begin
        if (raw != 0) sent <= sent + 1;
        rx_valid <= 0;
        rx_wait <= gap;
      end
      if (rx_wait != 0) rx_wait <= rx_wait - 1;
      if ((!rx_valid || (rx_ready && gap == 0)) && rx_wait == 0 && !pause_rx) begin
        if (raw != 0) rx_byte = $fgetc(rx_file);
        else begin
          if (coded_at == coded_size) next_frame();
          rx_byte = coded_at < coded_size ? int'(coded[coded_at]) : -1;
          if (coded_at < coded_size) coded_at++;
        end
        rx_valid <= rx_byte >= 0;
        rx_payload <= rx_byte[7:0];
      end

      tx_ready <= tx_wait == 0 && !pause_tx;
      if (tx_wait != 0) tx_wait <= tx_wait - 1;
      if (tx_valid && tx_ready) begin
        if (raw == 0) hear(tx_payload);
        else begin
          $fwrite(tx_file, "%c", tx_payload);
          received <= received + 1;
          last_cycle <= cycles;
        end
        if (gap != 0) begin
          tx_ready <= 0;
          tx_wait <= gap;
        end
      end

      if (trace != 0 && dut.trace_valid != 0) begin
        cores = $bits(dut.trace_valid);
        units = $bits(dut.trace_spike) / cores;
        bits = $bits(dut.trace_v) / units / cores;
        places = $bits(dut.trace_index) / cores;
        records = 0;
        for (int c = 0; c < cores; c++)
          if (((dut.trace_valid >> c) & 1'b1) != 0) begin
            first = 32'(dut.trace_index >> (c * places)) & ((1 << places) - 1);
            for (int k = c * units; k < (c + 1) * units; k++)
              $fwrite(trace_file, "%u%u%u%u%u%u", 32'(dut.trace_step), first + k - c * units,
                      extended(32'(dut.trace_v >> (k * bits)), bits),
                      extended(32'(dut.trace_u >> (k * bits)), bits),
                      32'((dut.trace_spike >> k) & 1'b1), offset_of(k, bits));
            records += units;
          end
        traced <= traced + 64'(records);
      end

      if (flush) begin
        $fflush(tx_file);
        flush <= 0;
      end
      if (refill) begin
        void'($fseek(rx_file, 0, 1));
        refill <= 0;
      end
    end
  end

  final begin
    $fclose(tx_file);
    if (trace != 0) $fclose(trace_file);
  end
endmodule
