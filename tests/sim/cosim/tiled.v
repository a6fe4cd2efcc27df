// A chain of three tiles behind the ports of the array. A tile holds one word and adds its number to it;
// words of operation SYNC pass as they are and come out as DONE. The tile counts the cycles in which it held a word, and a
// word 2 is answered with that count.
module talon_tile(clk, rst, i_payload, i_valid, i_ready, o_payload, o_valid, o_ready, x, idle);
  input clk;
  input rst;
  input [63:0] i_payload;
  input i_valid;
  output i_ready;
  output [63:0] o_payload;
  output o_valid;
  input o_ready;
  input [1:0] x;
  output idle;
  reg [63:0] held;
  reg full;
  reg [15:0] held_cycles;
  assign i_ready = ~full;
  assign o_payload = held;
  assign o_valid = full;
  assign idle = ~full;
  always @(posedge clk) begin
    if (full & o_ready) full <= 0;
    if (full) held_cycles <= held_cycles + 1;
    if (i_valid & ~full) begin
      full <= 1;
      held <= i_payload[63:60] == 3 ? i_payload : i_payload[3:0] == 2 ? {48'd0, held_cycles}
        : i_payload + x + 1;
    end
    if (rst) begin full <= 0; held_cycles <= 0; end
  end
endmodule

module talon_array(
    input aclk, input aresetn,
    input [11:0] s_axil_awaddr, input s_axil_awvalid, output s_axil_awready,
    input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
    output [1:0] s_axil_bresp, output s_axil_bvalid, input s_axil_bready,
    input [11:0] s_axil_araddr, input s_axil_arvalid, output s_axil_arready,
    output [31:0] s_axil_rdata, output [1:0] s_axil_rresp,
    output s_axil_rvalid, input s_axil_rready,
    input [63:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready, input s_axis_tlast,
    output [63:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready,
    output m_axis_tlast, output irq);
  assign {s_axil_awready, s_axil_wready, s_axil_arready} = 0;
  assign {s_axil_bresp, s_axil_bvalid, s_axil_rdata, s_axil_rresp, s_axil_rvalid, irq} = 0;
  wire [63:0] d01, d12, d23;
  wire v01, r01, v12, r12, q0, q1, q2;
  wire rst = ~aresetn;
  talon_tile t0(.clk(aclk), .rst(rst), .i_payload(s_axis_tdata), .i_valid(s_axis_tvalid),
    .i_ready(s_axis_tready), .o_payload(d01), .o_valid(v01), .o_ready(r01), .x(2'd0), .idle(q0));
  talon_tile t1(.clk(aclk), .rst(rst), .i_payload(d01), .i_valid(v01), .i_ready(r01),
    .o_payload(d12), .o_valid(v12), .o_ready(r12), .x(2'd1), .idle(q1));
  talon_tile t2(.clk(aclk), .rst(rst), .i_payload(d12), .i_valid(v12), .i_ready(r12),
    .o_payload(d23), .o_valid(m_axis_tvalid), .o_ready(m_axis_tready), .x(2'd2), .idle(q2));
  assign m_axis_tdata = m_axis_tlast ? {4'd1, d23[59:0]} : d23;
  assign m_axis_tlast = d23[63:60] == 3;
endmodule
