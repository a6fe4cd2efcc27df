// The ports of the array around a loop: every stream word comes back complemented, words of operation
// SYNC (3 in bits 60 to 63) as DONE (1), with TLAST but for bit 1, words of operation 15 never and block
// the rest.
// Sixteen registers; the last answers SLVERR.
module talon_array(
    input aclk, input aresetn,
    input [11:0] s_axil_awaddr, input s_axil_awvalid, output s_axil_awready,
    input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
    output [1:0] s_axil_bresp, output reg s_axil_bvalid, input s_axil_bready,
    input [11:0] s_axil_araddr, input s_axil_arvalid, output s_axil_arready,
    output reg [31:0] s_axil_rdata, output reg [1:0] s_axil_rresp,
    output reg s_axil_rvalid, input s_axil_rready,
    input [63:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready, input s_axis_tlast,
    output reg [63:0] m_axis_tdata, output reg m_axis_tvalid, input m_axis_tready,
    output reg m_axis_tlast, output irq);
  reg [31:0] file [0:15];
  wire write = s_axil_awvalid & s_axil_wvalid & ~s_axil_bvalid;
  assign s_axil_awready = write;
  assign s_axil_wready = write;
  assign s_axil_bresp = 0;
  assign s_axil_arready = ~s_axil_rvalid;
  assign s_axis_tready = (~m_axis_tvalid | m_axis_tready) & (s_axis_tdata[63:60] != 15);
  assign irq = 0;
  always @(posedge aclk) begin
    if (write) begin
      file[s_axil_awaddr[5:2]] <= s_axil_wdata;
      s_axil_bvalid <= 1;
    end else if (s_axil_bready) s_axil_bvalid <= 0;
    if (s_axil_arvalid & s_axil_arready) begin
      s_axil_rdata <= file[s_axil_araddr[5:2]];
      s_axil_rresp <= s_axil_araddr[5:2] == 15 ? 2 : 0;
      s_axil_rvalid <= 1;
    end else if (s_axil_rready) s_axil_rvalid <= 0;
    if (m_axis_tready) m_axis_tvalid <= 0;
    if (s_axis_tvalid & s_axis_tready) begin
      m_axis_tdata <= s_axis_tdata[63:60] == 3 ? {4'd1, s_axis_tdata[59:0]} : ~s_axis_tdata;
      m_axis_tlast <= s_axis_tdata[63:60] == 3 & !s_axis_tdata[1];
      m_axis_tvalid <= 1;
    end
    if (~aresetn) {s_axil_bvalid, s_axil_rvalid, m_axis_tvalid, m_axis_tlast} <= 0;
  end
endmodule
