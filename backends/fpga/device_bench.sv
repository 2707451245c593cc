// Simulation only: the host's side of the link to a `device`, played from files.
//
// Bytes of rx.bin go to the device, bytes of the device go to tx.bin. With +trace=1 every trace
// record goes to trace.bin as four 32-bit words: index, v, u, spike.
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
  // Written by the supervisor to bring tx.bin up to date.
  bit flush  /*verilator public_flat_rw*/ = 0;

  int rx_file, tx_file, trace_file;
  int trace = 0;
  int gap = 0;
  int stall = 0;

  initial begin
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
      .trace_index(),
      .trace_v(),
      .trace_u(),
      .trace_spike()
  );

  // A 32-bit xorshift generator: never zero once seeded with something else.
  bit [31:0] noise = 0;
  function automatic bit [31:0] next_noise(bit [31:0] x);
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
  endfunction

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
        sent <= sent + 1;
        rx_valid <= 0;
        rx_wait <= gap;
      end
      if (rx_wait != 0) rx_wait <= rx_wait - 1;
      if ((!rx_valid || (rx_ready && gap == 0)) && rx_wait == 0 && !pause_rx) begin
        rx_byte = $fgetc(rx_file);
        rx_valid <= rx_byte >= 0;
        rx_payload <= rx_byte[7:0];
      end

      tx_ready <= tx_wait == 0 && !pause_tx;
      if (tx_wait != 0) tx_wait <= tx_wait - 1;
      if (tx_valid && tx_ready) begin
        $fwrite(tx_file, "%c", tx_payload);
        received <= received + 1;
        last_cycle <= cycles;
        if (gap != 0) begin
          tx_ready <= 0;
          tx_wait <= gap;
        end
      end

      if (trace != 0 && dut.trace_valid) begin
        $fwrite(trace_file, "%u%u%u%u", 32'(dut.trace_index), 32'($signed(dut.trace_v)),
                32'($signed(dut.trace_u)), 32'(dut.trace_spike));
        traced <= traced + 1;
      end

      if (flush) begin
        $fflush(tx_file);
        flush <= 0;
      end
    end
  end

  final begin
    $fclose(tx_file);
    if (trace != 0) $fclose(trace_file);
  end
endmodule
