pytest_plugins = ["t3probe.plugin", "t3probe.plugin.lab"]
