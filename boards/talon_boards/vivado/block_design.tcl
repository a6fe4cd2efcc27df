# The block design: processing system, DMA, array, interrupts.
#
#   ps M_AXI_HPM0_FPD -> control -> registers of array, DMA, interrupt controller
#   ps S_AXI_HP0_FPD  <- memory  <- DMA <-> streams of the array
#   array irq, DMA    -> concat  -> interrupt controller -> ps pl_ps_irq0
#
# PYNQ finds cells by these names; it wants one interrupt controller on the first interrupt line.

set ps zynq_ultra_ps_e_0
set dma axi_dma_0
set array talon_array_0
set intc axi_intc_0
set concat interrupts
set control control
set memory memory
set reset reset

# Addresses of the registers, as the processing system sees them: cell, segment, offset, range.
set address_map [list \
    $array s_axil    0xA0000000 4K \
    $dma   S_AXI_LITE 0xA0010000 64K \
    $intc  S_AXI     0xA0020000 64K]

proc ::talon::create_ps {} {
    global ps clock_mhz
    create_bd_cell -type ip -vlnv [newest xilinx.com:ip:zynq_ultra_ps_e] $ps
    apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e \
        -config {apply_board_preset "1"} [get_bd_cells $ps]
    # Presets differ in which ports they open: all are stated here.
    set_property -dict [list \
        CONFIG.PSU__OVERRIDE__BASIC_CLOCK {0} \
        CONFIG.PSU__FPGA_PL0_ENABLE {1} \
        CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $clock_mhz \
        CONFIG.PSU__USE__FABRIC__RST {1} \
        CONFIG.PSU__NUM_FABRIC_RESETS {1} \
        CONFIG.PSU__USE__M_AXI_GP0 {1} \
        CONFIG.PSU__USE__M_AXI_GP1 {0} \
        CONFIG.PSU__USE__M_AXI_GP2 {0} \
        CONFIG.PSU__MAXIGP0__DATA_WIDTH {32} \
        CONFIG.PSU__USE__S_AXI_GP2 {1} \
        CONFIG.PSU__SAXIGP2__DATA_WIDTH {64} \
        CONFIG.PSU__USE__IRQ0 {1}] [get_bd_cells $ps]
}

# Simple mode: the host starts each transfer. Words are those of the array's streams, 64 bits; a
# transfer has up to 2^26 - 1 bytes; buffers may lie above 4 GiB.
proc ::talon::create_dma {} {
    global dma
    create_bd_cell -type ip -vlnv [newest xilinx.com:ip:axi_dma] $dma
    set_property -dict [list \
        CONFIG.c_include_sg {0} \
        CONFIG.c_sg_include_stscntrl_strm {0} \
        CONFIG.c_sg_length_width {26} \
        CONFIG.c_addr_width {40} \
        CONFIG.c_include_mm2s {1} \
        CONFIG.c_include_mm2s_dre {0} \
        CONFIG.c_m_axi_mm2s_data_width {64} \
        CONFIG.c_m_axis_mm2s_tdata_width {64} \
        CONFIG.c_mm2s_burst_size {64} \
        CONFIG.c_include_s2mm {1} \
        CONFIG.c_include_s2mm_dre {0} \
        CONFIG.c_m_axi_s2mm_data_width {64} \
        CONFIG.c_s_axis_s2mm_tdata_width {64} \
        CONFIG.c_s2mm_burst_size {64}] [get_bd_cells $dma]
}

proc ::talon::create_cells {} {
    global array intc concat control memory reset ip_vlnv
    create_ps
    create_dma
    create_bd_cell -type ip -vlnv $ip_vlnv $array
    create_bd_cell -type ip -vlnv [newest xilinx.com:ip:proc_sys_reset] $reset
    create_bd_cell -type ip -vlnv [newest xilinx.com:ip:smartconnect] $control
    set_property -dict [list CONFIG.NUM_SI {1} CONFIG.NUM_MI {3}] [get_bd_cells $control]
    create_bd_cell -type ip -vlnv [newest xilinx.com:ip:smartconnect] $memory
    set_property -dict [list CONFIG.NUM_SI {2} CONFIG.NUM_MI {1}] [get_bd_cells $memory]
    create_bd_cell -type ip -vlnv [newest xilinx.com:ip:axi_intc] $intc
    set_property -dict [list CONFIG.C_IRQ_CONNECTION {1}] [get_bd_cells $intc]
    # Recent releases of Vivado have the concatenation as text in place of a core.
    set vlnv [newest xilinx.com:ip:xlconcat xilinx.com:inline_hdl:ilconcat]
    set type [expr {[string match *:inline_hdl:* $vlnv] ? "inline_hdl" : "ip"}]
    create_bd_cell -type $type -vlnv $vlnv $concat
    set_property -dict [list CONFIG.NUM_PORTS {3}] [get_bd_cells $concat]
}

proc ::talon::connect_buses {} {
    global ps dma array intc control memory
    connect_interfaces $ps/M_AXI_HPM0_FPD $control/S00_AXI
    connect_interfaces $control/M00_AXI $array/s_axil
    connect_interfaces $control/M01_AXI $dma/S_AXI_LITE
    connect_interfaces $control/M02_AXI $intc/s_axi
    connect_interfaces $dma/M_AXI_MM2S $memory/S00_AXI
    connect_interfaces $dma/M_AXI_S2MM $memory/S01_AXI
    connect_interfaces $memory/M00_AXI $ps/S_AXI_HP0_FPD
    connect_interfaces $dma/M_AXIS_MM2S $array/s_axis
    connect_interfaces $array/m_axis $dma/S_AXIS_S2MM
}

# One clock for all: that of the array.
proc ::talon::connect_clock_and_reset {} {
    global ps dma array intc control memory reset
    connect $ps/pl_clk0 $ps/maxihpm0_fpd_aclk $ps/saxihp0_fpd_aclk $reset/slowest_sync_clk \
        $control/aclk $memory/aclk $array/aclk $intc/s_axi_aclk \
        $dma/s_axi_lite_aclk $dma/m_axi_mm2s_aclk $dma/m_axi_s2mm_aclk
    connect $ps/pl_resetn0 $reset/ext_reset_in
    connect $reset/interconnect_aresetn $control/aresetn $memory/aresetn
    connect $reset/peripheral_aresetn $array/aresetn $dma/axi_resetn $intc/s_axi_aresetn
}

proc ::talon::connect_interrupts {} {
    global ps dma array intc concat
    connect $dma/mm2s_introut $concat/In0
    connect $dma/s2mm_introut $concat/In1
    connect $array/irq $concat/In2
    connect $concat/dout $intc/intr
    connect $intc/irq $ps/pl_ps_irq0
}

# Registers where the table says; for the DMA all memory that the board has, and nothing else.
proc ::talon::assign_addresses {} {
    global ps dma address_map
    foreach {cell segment offset range} $address_map {
        assign_bd_address -target_address_space [get_bd_addr_spaces $ps/Data] \
            [get_bd_addr_segs "$cell/$segment/*"] -offset $offset -range $range
    }
    foreach name {Data_MM2S Data_S2MM} {
        set space [get_bd_addr_spaces $dma/$name]
        foreach segment [get_bd_addr_segs "$ps/SAXIGP2/*"] {
            if {[string match *HP0_DDR* $segment]} {
                assign_bd_address -target_address_space $space $segment
            } else {
                exclude_bd_addr_seg -target_address_space $space $segment
            }
        }
    }
}

# The clock that the processing system really makes is known when the design is validated, and can
# be asked while it is open.
proc ::talon::create_design {} {
    global basename ps clock_hz
    create_bd_design $basename
    create_cells
    connect_buses
    connect_clock_and_reset
    connect_interrupts
    assign_addresses
    validate_bd_design
    set clock_hz [get_property CONFIG.FREQ_HZ [get_bd_pins $ps/pl_clk0]]
    save_bd_design
}
