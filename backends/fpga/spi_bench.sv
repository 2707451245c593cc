// Simulation only: a `device` behind its `spi_peripheral`, and the controller of the bus.
//
// Each byte of rx.bin goes out over copi, most significant bit first, in mode 0; the byte that comes
// back over cipo meanwhile goes to tx.bin. A clock lasts as few cycles of the device as it may.
// Bytes follow each other without a pause; where there is none, the device is not selected. rx.bin
// may grow: the supervisor says so with `refill`, and wants tx.bin up to date with `flush`.
`timescale 1ns / 1ns

module device_bench #(
    parameter int SCK_CYCLES = 8
);
  bit clk = 0;
  bit rst = 1;
  always #1 clk = ~clk;

  longint unsigned cycles  /*verilator public_flat_rd*/ = 0;
  longint unsigned sent  /*verilator public_flat_rd*/ = 0;
  longint unsigned received  /*verilator public_flat_rd*/ = 0;
  bit flush  /*verilator public_flat_rw*/ = 0;
  bit refill  /*verilator public_flat_rw*/ = 0;

  int rx_file, tx_file;
  initial begin
    rx_file = $fopen("rx.bin", "rb");
    tx_file = $fopen("tx.bin", "wb");
  end

  bit sck = 0, copi = 0, cs_n = 1;
  wire cipo;
  wire [7:0] rx_payload, tx_payload;
  wire rx_valid, rx_ready, tx_valid, tx_ready;

  spi_peripheral spi (
      .clk,
      .rst,
      .sck,
      .copi,
      .cs_n,
      .cipo,
      .received_payload(rx_payload),
      .received_valid(rx_valid),
      .received_ready(rx_ready),
      .sent_payload(tx_payload),
      .sent_valid(tx_valid),
      .sent_ready(tx_ready)
  );

  // Its other ports, for traces, stay open.
  /* verilator lint_off PINMISSING */
  device dut (
      .clk,
      .rst,
      .rx_payload,
      .rx_valid,
      .rx_ready,
      .tx_payload,
      .tx_valid,
      .tx_ready
  );
  /* verilator lint_on PINMISSING */

  localparam int HALF = SCK_CYCLES / 2;
  bit [7:0] out, in;
  int left = 0;  // bits of the byte under way
  int timer = 0;
  int next;

  always @(posedge clk) begin
    cycles <= cycles + 1;
    if (cycles == 3) rst <= 0;
    if (timer != 0) timer <= timer - 1;
    else if (cycles > 30) begin
      if (sck) begin
        sck <= 0;
        timer <= HALF - 1;
        if (left != 0) copi <= out[left-1];
        else begin
          $fwrite(tx_file, "%c", in);
          received <= received + 1;
          next = $fgetc(rx_file);
          if (next >= 0) begin
            sent <= sent + 1;
            left <= 8;
            out <= next[7:0];
            copi <= next[7];
          end
        end
      end else if (left != 0) begin
        sck <= 1;
        timer <= HALF - 1;
        in <= {in[6:0], cipo};
        left <= left - 1;
      end else if (!cs_n) begin
        cs_n <= 1;
        timer <= HALF - 1;
      end else begin
        next = $fgetc(rx_file);
        if (next >= 0) begin
          sent <= sent + 1;
          left <= 8;
          out <= next[7:0];
          copi <= next[7];
          cs_n <= 0;
          timer <= HALF - 1;
        end
      end
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

  final $fclose(tx_file);
endmodule
