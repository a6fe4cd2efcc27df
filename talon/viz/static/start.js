TALON.start();
