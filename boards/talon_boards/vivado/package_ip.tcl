# Package the array with Vivado's own packager, under the name that ip/component.xml has.

proc ::talon::package_array {folder} {
    global here part top ip_vlnv
    lassign [split $ip_vlnv :] vendor library name version
    set design [current_project]
    create_project -force package_array [file join $here project packaging] -part $part
    add_files -norecurse [file join $here ip src "$top.v"]
    set_property top $top [current_fileset]
    update_compile_order -fileset sources_1
    ipx::package_project -root_dir $folder -vendor $vendor -library $library \
        -taxonomy /UserIP -import_files -force
    set core [ipx::current_core]
    set_property name $name $core
    set_property version $version $core
    foreach bus {s_axil s_axis m_axis} {
        ipx::associate_bus_interfaces -busif $bus -clock aclk $core
    }
    ipx::create_xgui_files $core
    ipx::update_checksums $core
    ipx::save_core $core
    close_project
    current_project $design
}
