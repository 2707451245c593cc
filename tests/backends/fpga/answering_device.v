// A stand-in for a core: speaks just enough of its protocol to test the bench around it.
//   EVENTS   adds source + 1 of each to a sum
//   TICK     traces three neurons (v = -sum, u = sum, neuron 1 spikes), answers spike 1 and DONE
//   CLEAR    sum = step = 0, answers CLEARED
//   INFO     never answers and takes nothing more
//   others   answer ERROR 1
module device (
    input clk,
    input rst,
    input [7:0] rx_payload,
    input rx_valid,
    output rx_ready,
    output [7:0] tx_payload,
    output tx_valid,
    input tx_ready,
    output reg trace_valid,
    output reg [15:0] trace_step,
    output reg [1:0] trace_index,
    output reg signed [11:0] trace_v,
    output reg signed [11:0] trace_u,
    output reg trace_spike
);
  localparam TAKE = 0, LOW = 1, HIGH = 2, TRACE = 3, SEND = 4, STUCK = 5, COUNT = 6, MORE = 7;
  reg [15:0] sources;
  reg [2:0] state = TAKE;
  reg [7:0] low;
  reg signed [11:0] sum = 0;
  reg [15:0] step = 0;
  reg [1:0] index;
  reg [119:0] out;
  reg [3:0] left;

  assign rx_ready = state == TAKE || state == LOW || state == HIGH || state == COUNT || state == MORE;
  assign tx_valid = state == SEND;
  assign tx_payload = out[7:0];

  always @(posedge clk) begin
    trace_valid <= 0;
    case (state)
      TAKE:
      if (rx_valid)
        case (rx_payload)
          8'h01: state <= COUNT;
          8'h03: begin
            index <= 0;
            state <= TRACE;
          end
          8'h04: begin
            sum   <= 0;
            step  <= 0;
            out   <= 8'h83;
            left  <= 1;
            state <= SEND;
          end
          8'h09: state <= STUCK;
          default: begin
            out   <= 16'h01ee;
            left  <= 2;
            state <= SEND;
          end
        endcase
      COUNT:
      if (rx_valid) begin
        low   <= rx_payload;
        state <= MORE;
      end
      MORE:
      if (rx_valid) begin
        sources <= {rx_payload, low};
        state   <= LOW;
      end
      LOW:
      if (rx_valid) begin
        low   <= rx_payload;
        state <= HIGH;
      end
      HIGH:
      if (rx_valid) begin
        sum   <= sum + {rx_payload[3:0], low} + 1;
        sources <= sources - 1;
        state <= sources == 1 ? TAKE : LOW;
      end
      TRACE: begin
        trace_valid <= 1;
        trace_step <= step;
        trace_index <= index;
        trace_v <= -sum;
        trace_u <= sum;
        trace_spike <= index == 1;
        index <= index + 1;
        if (index == 2) begin
          out   <= {24'd2, 24'd1, step, 8'h82, 16'h0100};
          left  <= 11;
          step  <= step + 1;
          state <= SEND;
        end
      end
      SEND:
      if (tx_ready) begin
        out  <= out >> 8;
        left <= left - 1;
        if (left == 1) state <= TAKE;
      end
      default: ;
    endcase
    if (rst) state <= TAKE;
  end
endmodule
